import pytest

import engine.operators as op
from engine.dataflow import Dataflow
from engine.errors import DataflowError
from engine.testing import TestingSource


def test_reads_the_items_of_a_source(run):
    assert run(lambda s: s, [1, 2, 3]) == [1, 2, 3]


@pytest.mark.parametrize("source", [[1], TestingSource])
def test_refuses_what_is_no_source(source):
    with pytest.raises(DataflowError, match=r"flow\.inp.*`source` is the "):
        op.input("inp", Dataflow("flow"), source)
