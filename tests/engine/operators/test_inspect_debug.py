import engine.operators as op


def test_prints_step_worker_epoch_and_item(run, capsys):
    assert run(lambda s: op.inspect_debug("step", s), ["x"]) == ["x"]
    assert capsys.readouterr().out == "flow.step W0 @1: 'x'\n"


def test_calls_an_inspector(run):
    seen = []
    run(lambda s: op.inspect_debug("step", s, lambda *args: seen.append(args)), [7])
    assert seen == [("flow.step", 7, 1, 0)]
