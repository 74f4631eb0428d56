"""What users may import: a name that comes or goes is a change of the API, so it is seen here."""

import importlib
from types import ModuleType
from typing import ParamSpec, TypeVar

import pytest

PUBLIC = {
    "engine": "__version__",
    "engine.connectors": "",
    "engine.connectors.files": "CSVSource DirSink DirSource FileSink FileSource",
    "engine.connectors.stdio": "StdOutSink",
    "engine.dataflow": "Dataflow KeyedStream Scope Stream operator",
    "engine.errors": """
        AuthenticationError CannotWriteError ConfigurationError DataflowError
        DataflowRuntimeError EngineError FlowLoadError FlowNotFoundError HelloMismatchError
        InterruptedRunError PeerLostError PeerUnavailableError UsageError
    """,
    "engine.health": "HealthServer ask main parse_where respond",
    "engine.inputs": """
        AbortExecution DynamicSource FixedPartitionedSource S SimplePollingSource Sn Source
        StatefulSourcePartition StatelessSourcePartition X batch batch_async batch_getter
        batch_getter_ex
    """,
    "engine.operators": """
        BranchOut KeyedStream StatefulBatchLogic StatefulLogic branch collect count_final filter
        filter_map filter_map_value filter_value flat_map flat_map_batch flat_map_value flatten
        fold_final input inspect inspect_debug key_on key_rm map map_value max_final merge
        min_final output raises redistribute reduce_final stateful stateful_batch
        stateful_flat_map stateful_map
    """,
    "engine.outputs": """
        DynamicSink FixedPartitionedSink S Sink StatefulSinkPartition StatelessSinkPartition X
    """,
    "engine.run": "main",
    "engine.testing": """
        TestingSink TestingSource TimeTestingGetter cluster_main ffwd_iter poll_next_batch run_main
    """,
}


def public_names(module: ModuleType) -> set[str]:
    """What a module lists, or else what it defines under a name without underscore."""
    listed = getattr(module, "__all__", None)
    if listed is not None:
        return set(listed)
    version = {"__version__"} & set(vars(module))
    return version | {
        name
        for name, value in vars(module).items()
        if getattr(value, "__module__", None) == module.__name__
        and not name.startswith("_")
        and not isinstance(value, TypeVar | ParamSpec)
    }


@pytest.mark.parametrize("name", PUBLIC)
def test_public_names(name: str) -> None:
    assert public_names(importlib.import_module(name)) == set(PUBLIC[name].split())
