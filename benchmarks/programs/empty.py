"""The least that a flow can be: no items at all."""

import engine.operators as op
from engine.dataflow import Dataflow
from engine.testing import TestingSink, TestingSource

flow = Dataflow("empty")
items = op.input("items", flow, TestingSource([]))
op.output("out", items, TestingSink([]))
