"""The first error of the user's code is printed, and nothing else changes."""

import pytest

from ctl.remote.witness import Witness


@pytest.fixture
def said():
    return []


@pytest.fixture
def witness(said):
    return Witness(said.append)


def fail(*_):
    raise LookupError("no roses")


def test_an_error_is_printed_once_with_its_step(witness, said):
    guarded = witness.guarded(fail, "flow.step")
    for _ in range(2):
        with pytest.raises(LookupError):
            guarded(1)
    assert len(said) == 1
    assert said[0].startswith("Traceback (most recent call last):\n")
    assert said[0].endswith("LookupError: no roses\nhostmesh: this was in step flow.step")
    assert witness.failed.is_set()


def test_an_error_of_a_lazy_result_is_seen(witness, said):
    results = witness.guarded(lambda items: map(fail, items), "step")([1])
    with pytest.raises(LookupError):
        list(results)
    assert said


def test_results_are_what_they_were(witness, said):
    assert witness.guarded(lambda: [1, 2], "step")() == [1, 2]
    assert list(witness.guarded(lambda: iter("ab"), "step")()) == ["a", "b"]
    assert not said


def test_the_end_of_a_source_is_no_error(witness, said):
    def end():
        raise StopIteration

    with pytest.raises(StopIteration):
        witness.guarded(end, "step")()
    assert not said


def test_what_a_source_builds_is_watched(witness, said):
    class Partition:
        def next_batch(self):
            return fail()

    class Source:
        def build_part(self, *_):
            return Partition()

    witness.watch_class(Source, "step")
    with pytest.raises(LookupError):
        Source().build_part().next_batch()
    assert len(said) == 1
