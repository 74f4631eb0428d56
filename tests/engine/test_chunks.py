import itertools

import pytest

from engine.chunks import CHUNK_BYTES, CHUNK_ITEMS, chunks, keyed_chunks, user_error


@pytest.mark.parametrize("kind", [list, tuple, iter, lambda xs: (x for x in xs)])
@pytest.mark.parametrize(
    "lengths", [[], [0], [1], [4, 0, 4], [3, 29, 96, 128, 896], [9999], [7] * 999]
)
def test_chains_iterables_in_chunks_of_bounded_length(kind, lengths):
    inputs = [list(range(length)) for length in lengths]
    out = list(chunks(kind, inputs, TypeError))
    assert list(itertools.chain(*out)) == list(itertools.chain(*inputs))
    assert all(0 < len(chunk) <= CHUNK_ITEMS for chunk in out)
    keyed = list(keyed_chunks([(str(n), kind(xs)) for n, xs in enumerate(inputs)], TypeError))
    assert list(itertools.chain(*keyed)) == [(str(n), x) for n, xs in enumerate(inputs) for x in xs]
    assert all(0 < len(chunk) <= CHUNK_ITEMS for chunk in keyed)


def test_makes_few_chunks_of_many_small_items():
    assert len(list(chunks(str.split, ["a b c d e f g h"] * 1024, TypeError))) == 8


@pytest.mark.parametrize("size", [100, 10_000, 300_000, 3 * CHUNK_BYTES])
def test_pulls_less_at_a_time_of_large_items(size):
    alive = most = 0
    for chunk in chunks(
        lambda n: (bytes(size) for _ in range(n)), [CHUNK_BYTES // size + 20], TypeError
    ):
        alive = size * len(chunk)
        most = max(most, alive)
    assert most <= max(CHUNK_BYTES * 1.1, 4 * size)


def test_gives_what_it_has_before_it_goes_on():
    pulled = []

    def endless(_):
        for n in itertools.count():
            pulled.append(n)
            yield n

    out = chunks(endless, [1], TypeError)
    assert len(next(out)) == len(pulled)


def test_finds_the_stop_iteration_of_user_code_again():
    stop = StopIteration("mine")

    def fail(_):
        raise stop

    with pytest.raises(RuntimeError) as caught:
        list(chunks(fail, [1], TypeError))
    assert user_error(caught.value) is stop


def test_leaves_other_errors_of_user_code_alone():
    error = RuntimeError("mine")
    error.__cause__ = ValueError()
    assert user_error(error) is error
