import engine.operators as op


def test_leaves_the_values(run):
    assert run(lambda s: op.key_rm("step", s), [("a", 1), ("b", None)], 2) == [1, None]


def test_refuses_an_item_that_is_no_pair(fails):
    error = fails(lambda s: op.key_rm("step", s), [("a", 1), 5])
    assert isinstance(error, TypeError)
    assert "(key, value) 2-tuples, not the int 5" in str(error)
