import pytest

import engine.operators as op


@pytest.mark.parametrize("batch_size", [1, 2, 10])
def test_transforms_each_item(run, batch_size):
    assert run(lambda s: op.map("step", s, str), [1, 2, 3], batch_size) == ["1", "2", "3"]


def test_passes_none_on(run):
    assert run(lambda s: op.map("step", s, lambda _: None), [1]) == [None]


@pytest.mark.parametrize("error", [TypeError("mine"), StopIteration(7), KeyError("k")])
def test_names_the_step_of_a_mapper_that_raises(fails, error):
    def mapper(_):
        raise error

    assert fails(lambda s: op.map("step", s, mapper), [1]) is error
