import pytest

import engine.operators as op


def length(items):
    return len(items)


def test_is_given_whole_batches(run):
    sizes = run(lambda s: op.flat_map_batch("step", s, lambda xs: [len(xs)]), range(6), 3)
    assert sum(sizes) == 6


def test_takes_a_generator(run):
    items = list(range(3000))
    out = run(lambda s: op.flat_map_batch("step", s, lambda xs: (-x for x in xs)), items, 1500)
    assert out == [-x for x in items]


def test_refuses_a_result_that_is_no_iterable(fails):
    error = fails(lambda s: op.flat_map_batch("step", s, length), [1])
    assert isinstance(error, TypeError)
    assert "an iterable" in str(error)


@pytest.mark.parametrize("lazy", [True, False])
def test_does_not_swallow_stop_iteration(fails, lazy):
    stop = StopIteration("mine")

    def fail(_):
        raise stop

    def mapper(xs):
        return (fail(x) for x in xs) if lazy else fail(xs)

    assert fails(lambda s: op.flat_map_batch("step", s, mapper), [1]) is stop


def test_may_return_the_same_list_each_time(run):
    buffer: list[tuple[str, int]] = []

    def mapper(xs):
        buffer[:] = xs
        return buffer

    items = [(str(n % 3), n) for n in range(5000)]
    out = run(
        lambda s: op.key_rm("rm", sorted_by_key(op.flat_map_batch("step", s, mapper))), items, 7
    )
    assert sorted(out) == list(range(5000))


def sorted_by_key(stream):
    """Something that has an exchange before it."""
    return op.stateful_map("keep", stream, lambda _, value: (None, value))
