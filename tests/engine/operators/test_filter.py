import pytest

import engine.operators as op


@pytest.mark.parametrize("batch_size", [1, 10])
def test_keeps_items_for_which_the_predicate_holds(run, batch_size):
    assert run(lambda s: op.filter("step", s, lambda x: x > 1), range(4), batch_size) == [2, 3]


@pytest.mark.parametrize("result", [None, 0, 1, "yes"])
def test_refuses_a_result_that_is_no_bool(fails, result):
    error = fails(lambda s: op.filter("step", s, lambda _: result), [1])
    assert isinstance(error, TypeError)
    assert "the predicate" in str(error)
    assert f"has to return a bool, not the {type(result).__name__} {result!r}" in str(error)


def test_does_not_swallow_stop_iteration(fails):
    stop = StopIteration()

    def predicate(_):
        raise stop

    assert fails(lambda s: op.filter("step", s, predicate), [1]) is stop
