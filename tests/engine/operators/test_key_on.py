import pytest

import engine.operators as op


class Name(str):
    __slots__ = ()


def test_makes_pairs_of_key_and_item(run):
    assert run(lambda s: op.key_on("step", s, str), [1, 2], 2) == [("1", 1), ("2", 2)]


def test_takes_a_subclass_of_str(run):
    assert run(lambda s: op.key_on("step", s, Name), ["a"]) == [("a", "a")]


@pytest.mark.parametrize("key", [1, None, b"a", ("a",)])
def test_refuses_a_key_that_is_no_str(fails, key):
    error = fails(lambda s: op.key_on("step", s, lambda x: x), ["a", key])
    assert isinstance(error, TypeError)
    assert "the key function" in str(error)
    assert f"has to return a str, not the {type(key).__name__} {key!r}" in str(error)


def test_does_not_swallow_stop_iteration(fails):
    stop = StopIteration()

    def key(_):
        raise stop

    assert fails(lambda s: op.key_on("step", s, key), [1]) is stop
