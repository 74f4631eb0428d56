from zlib import adler32

from engine import outputs
from engine.outputs import FixedPartitionedSink, StatefulSinkPartition


class Sink(FixedPartitionedSink[str, None]):
    def list_parts(self) -> list[str]:
        return []

    def build_part(
        self, step_id: str, for_part: str, resume_state: None
    ) -> StatefulSinkPartition[str, None]:
        raise NotImplementedError


def test_the_public_names() -> None:
    assert outputs.__all__ == [
        "DynamicSink",
        "FixedPartitionedSink",
        "S",
        "Sink",
        "StatefulSinkPartition",
        "StatelessSinkPartition",
        "X",
    ]


def test_a_partition_is_picked_by_a_checksum_that_every_process_agrees_on() -> None:
    assert Sink().part_fn("clé") == adler32("clé".encode())
