import engine.operators as op


def test_drops_none_only(run):
    items = [("a", {"id": 0}), ("b", {}), ("c", {"id": ""})]
    out = run(lambda s: op.filter_map_value("step", s, lambda x: x.get("id")), items, 3)
    assert out == [("a", 0), ("c", "")]


def test_refuses_an_item_that_is_no_pair(fails):
    error = fails(lambda s: op.filter_map_value("step", s, str), [("a", 1), (1, 2, 3)])
    assert isinstance(error, TypeError)
    assert "(key, value) 2-tuples, not the tuple (1, 2, 3)" in str(error)


def test_passes_a_type_error_of_the_mapper_on(fails):
    error = fails(lambda s: op.filter_map_value("step", s, len), [("a", 1)])
    assert "has no len()" in str(error)
