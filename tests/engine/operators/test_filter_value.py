import engine.operators as op


def test_keeps_items_for_whose_value_the_predicate_holds(run):
    items = [("a", 1), ("b", 2), ("a", 3)]
    out = run(lambda s: op.filter_value("step", s, lambda x: x != 2), items, 3)
    assert out == [("a", 1), ("a", 3)]


def test_refuses_a_result_that_is_no_bool(fails):
    error = fails(lambda s: op.filter_value("step", s, abs), [("a", 1)])
    assert isinstance(error, TypeError)
    assert str(error) == "the predicate `abs` has to return a bool, not the int 1"


def test_refuses_an_item_that_is_no_pair(fails):
    error = fails(lambda s: op.filter_value("step", s, bool), [("a", 1), 5])
    assert isinstance(error, TypeError)
    assert "(key, value) 2-tuples, not the int 5" in str(error)


def test_passes_a_type_error_of_the_predicate_on(fails):
    error = fails(lambda s: op.filter_value("step", s, lambda x: x > 1), [("a", "x")])
    assert "not supported between" in str(error)
