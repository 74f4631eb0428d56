import pytest

import engine.operators as op

ITEMS = [("a", 1), ("b", 10), ("a", 2), ("a", 3), ("b", 20)]
SUMS = [("a", 1), ("b", 10), ("a", 3), ("a", 6), ("b", 30)]


def running_sum(total, value):
    total = (total or 0) + value
    return total, total


def flat(chunks):
    return [item for chunk in chunks for item in chunk]


@pytest.mark.parametrize("batch_size", [1, 2, 10])
def test_keeps_a_state_for_each_key(run, batch_size):
    assert run(lambda s: op.stateful_map("step", s, running_sum), ITEMS, batch_size) == SUMS


def test_takes_items_that_the_sender_has_grouped(keyed):
    operator = keyed(lambda s: op.stateful_map("step", s, running_sum))
    out = flat(operator.on_groups([("a", [1, 2]), ("b", [10])]))
    out += flat(operator.on_items([("a", 3)]))
    out += flat(operator.on_groups([("b", [20])]))
    assert sorted(out) == sorted(SUMS)


@pytest.mark.parametrize("grouped", [False, True])
def test_forgets_a_state_of_none(keyed, grouped):
    def until_three(count, _):
        count = (count or 0) + 1
        return None if count == 3 else count, count

    operator = keyed(lambda s: op.stateful_map("step", s, until_three))
    if grouped:
        out = flat(operator.on_groups([("a", [0] * 6)])) + flat(operator.on_groups([("a", [0])]))
    else:
        out = flat(operator.on_items([("a", 0)] * 7))
    assert [count for _, count in out] == [1, 2, 3, 1, 2, 3, 1]


@pytest.mark.parametrize("item", [5, (1, 2), (None, 1), ([], 1), ("a", 1, 2)])
def test_refuses_an_item_without_a_str_key(fails, item):
    error = fails(lambda s: op.stateful_map("step", s, running_sum), [("a", 1), item])
    assert isinstance(error, TypeError)
    assert "see `key_on`" in str(error)


@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("result", [None, 5, (1,), (1, 2, 3)])
def test_refuses_a_result_that_is_no_pair(keyed, result, grouped):
    operator = keyed(lambda s: op.stateful_map("step", s, lambda *_: result))
    with pytest.raises(TypeError, match="has to return a 2-tuple of"):
        flat(operator.on_groups([("a", [1])]) if grouped else operator.on_items([("a", 1)]))


def test_passes_errors_of_the_mapper_on(fails):
    for error in (TypeError("mine"), ValueError("mine"), StopIteration()):

        def mapper(state, value, error=error):
            if state:
                raise error
            return 1, value

        assert fails(lambda s, f=mapper: op.stateful_map("step", s, f), [("a", 1)] * 2) is error
