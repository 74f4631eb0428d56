"""Messages between the operator's machine and a host, as bytes.

A message is a JSON object and, for some, data beside it. Its frame is the lengths of both (two
unsigned integers of 4 bytes, big endian), the object as UTF-8, and the data.
"""

import json
import struct
from collections.abc import Iterator
from typing import Any

Message = dict[str, Any]

_LENGTHS = struct.Struct(">II")
LIMIT = 64 << 20
"""Bytes of an object or of data; more is no message of ours."""


def encode(message: Message, data: bytes | memoryview = b"") -> bytes:
    """Make the frame of a message."""
    text = json.dumps(message, separators=(",", ":")).encode()
    return b"".join((_LENGTHS.pack(len(text), len(data)), text, data))


class Decoder:
    """Cuts bytes that arrive in any portions into messages."""

    def __init__(self) -> None:
        self._waiting = bytearray()

    def feed(self, received: bytes) -> Iterator[tuple[Message, bytes]]:
        """Take bytes; give the messages that are whole now, each with its data.

        Raises:
            ValueError: If what comes is no frame.
        """
        self._waiting += received
        while len(self._waiting) >= _LENGTHS.size:
            length, size = _LENGTHS.unpack_from(self._waiting)
            if max(length, size) > LIMIT:
                msg = "a frame is longer than any of ours"
                raise ValueError(msg)
            start = _LENGTHS.size
            end = start + length + size
            if len(self._waiting) < end:
                return
            message = json.loads(self._waiting[start : start + length])
            if not isinstance(message, dict):
                msg = "a message is not an object"
                raise ValueError(msg)  # noqa: TRY004  # whatever is wrong with a frame is one error
            with memoryview(self._waiting) as waiting:
                data = bytes(waiting[start + length : end])
            del self._waiting[:end]
            yield message, data
