"""What a dataflow is made of: functions that take streams and return streams.

>>> import engine.operators as op
"""

from engine.dataflow import KeyedStream
from engine.operators.collecting import collect
from engine.operators.combining import count_final, max_final, min_final
from engine.operators.endpoints import input, output, raises
from engine.operators.filtering import filter, filter_map, filter_map_value, filter_value
from engine.operators.final import fold_final, reduce_final
from engine.operators.inspecting import inspect, inspect_debug
from engine.operators.keying import key_on, key_rm
from engine.operators.logic import (
    StatefulBatchLogic,
    StatefulLogic,
    stateful,
    stateful_batch,
)
from engine.operators.mapping import (
    flat_map,
    flat_map_batch,
    flat_map_value,
    flatten,
    map,
    map_value,
)
from engine.operators.routing import BranchOut, branch, merge, redistribute
from engine.operators.stateful_mapping import stateful_flat_map, stateful_map

__all__ = [
    "BranchOut",
    "KeyedStream",
    "StatefulBatchLogic",
    "StatefulLogic",
    "branch",
    "collect",
    "count_final",
    "filter",
    "filter_map",
    "filter_map_value",
    "filter_value",
    "flat_map",
    "flat_map_batch",
    "flat_map_value",
    "flatten",
    "fold_final",
    "input",
    "inspect",
    "inspect_debug",
    "key_on",
    "key_rm",
    "map",
    "map_value",
    "max_final",
    "merge",
    "min_final",
    "output",
    "raises",
    "redistribute",
    "reduce_final",
    "stateful",
    "stateful_batch",
    "stateful_flat_map",
    "stateful_map",
]
