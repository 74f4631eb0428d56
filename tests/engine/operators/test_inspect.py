import engine.operators as op


def test_prints_the_step_and_the_item(run, capsys):
    assert run(lambda s: op.inspect("step", s), [1, "two"]) == [1, "two"]
    assert capsys.readouterr().out == "flow.step: 1\nflow.step: 'two'\n"


def test_calls_an_inspector(run):
    seen = []
    out = run(lambda s: op.inspect("step", s, lambda step, item: seen.append((step, item))), [1])
    assert out == [1]
    assert seen == [("flow.step", 1)]


def test_names_the_step_of_an_inspector_that_raises(fails):
    def inspector(_step, item):
        raise ValueError(item)

    assert isinstance(fails(lambda s: op.inspect("step", s, inspector), [1]), ValueError)
