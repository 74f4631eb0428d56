"""What is pushed: layers that are named by the digest of their content."""

from ctl.layers.agent import agent_layer, agent_sources
from ctl.layers.archive import Entry, Layer
from ctl.layers.code import CodeLayer, code_layer
from ctl.layers.engine import engine_layer
from ctl.layers.modules import Foreign
from ctl.layers.packing import save
from ctl.layers.pickled import pickled_flow

__all__ = [
    "CodeLayer",
    "Entry",
    "Foreign",
    "Layer",
    "agent_layer",
    "agent_sources",
    "code_layer",
    "engine_layer",
    "pickled_flow",
    "save",
]
