import engine.operators as op


def test_passes_on_the_items_of_iterables(run):
    items = [[1, 2], (), iter([3]), range(2)]
    assert run(lambda s: op.flatten("step", s), items, 4) == [1, 2, 3, 0, 1]


def test_refuses_an_item_that_is_no_iterable(fails):
    error = fails(lambda s: op.flatten("step", s), [[1], 5])
    assert isinstance(error, TypeError)
    assert str(error) == "items have to be iterables, not the int 5"
