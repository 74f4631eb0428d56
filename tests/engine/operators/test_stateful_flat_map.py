import pytest

import engine.operators as op


def changes(last, value):
    return value, [] if value == last else [value]


def returning(result):
    return lambda _state, _value: result


def flat(chunks):
    return [item for chunk in chunks for item in chunk]


@pytest.mark.parametrize("batch_size", [1, 2, 10])
def test_passes_on_any_number_of_values(run, batch_size):
    items = [("a", 1), ("a", 1), ("b", 1), ("a", 2), ("b", 1)]
    out = run(lambda s: op.stateful_flat_map("step", s, changes), items, batch_size)
    assert out == [("a", 1), ("b", 1), ("a", 2)]


def test_takes_items_that_the_sender_has_grouped(keyed):
    operator = keyed(lambda s: op.stateful_flat_map("step", s, changes))
    assert flat(operator.on_groups([("a", [1, 1, 2]), ("b", [2])])) == [
        ("a", 1),
        ("a", 2),
        ("b", 2),
    ]


def test_pulls_long_results_in_chunks(keyed):
    operator = keyed(lambda s: op.stateful_flat_map("step", s, lambda _, n: (n, iter(range(n)))))
    chunks = list(operator.on_items([("a", 5000)]))
    assert len(chunks) > 1
    assert flat(chunks) == [("a", n) for n in range(5000)]


def test_forgets_a_state_of_none(run):
    def every_second(seen, value):
        return (None, [value]) if seen else (True, ())

    items = [("a", n) for n in range(6)]
    out = run(lambda s: op.stateful_flat_map("step", s, every_second), items)
    assert out == [("a", 1), ("a", 3), ("a", 5)]


def test_refuses_a_result_that_is_no_pair(fails):
    error = fails(lambda s: op.stateful_flat_map("step", s, returning(5)), [("a", 1)])
    assert isinstance(error, TypeError)
    assert "has to return a 2-tuple of (updated_state, emit_values)" in str(error)


def test_refuses_values_that_are_no_iterable(fails):
    error = fails(lambda s: op.stateful_flat_map("step", s, returning((1, 5))), [("a", 1)])
    assert isinstance(error, TypeError)
    assert "has to return an iterable as the second item" in str(error)


def test_refuses_an_item_without_a_str_key(fails):
    error = fails(lambda s: op.stateful_flat_map("step", s, changes), [("a", 1), (1, 1)])
    assert isinstance(error, TypeError)
    assert "a key has to be a str, not the int 1" in str(error)


def test_passes_errors_of_the_mapper_on(fails):
    for error in (TypeError("mine"), ValueError("mine"), StopIteration()):

        def mapper(_state, _value, error=error):
            raise error

        assert fails(lambda s, f=mapper: op.stateful_flat_map("step", s, f), [("a", 1)]) is error
