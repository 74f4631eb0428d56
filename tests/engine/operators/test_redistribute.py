import engine.operators as op


def test_passes_all_items_on(run):
    items = list(range(3000))
    assert sorted(run(lambda s: op.redistribute("step", s), items, 100)) == items
