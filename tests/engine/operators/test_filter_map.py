import engine.operators as op


def test_drops_none_only(run):
    items = [{"id": 0}, {}, {"id": ""}, {"id": False}]
    assert run(lambda s: op.filter_map("step", s, lambda x: x.get("id")), items, 4) == [
        0,
        "",
        False,
    ]


def test_passes_an_error_of_the_mapper_on(fails):
    assert isinstance(fails(lambda s: op.filter_map("step", s, int), ["x"]), ValueError)
