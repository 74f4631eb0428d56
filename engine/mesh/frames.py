"""The frames that travel on a connection, and how they are read.

A frame is a type (1 byte), the length of its body (8 bytes, network order) and the body.
Numbers in bodies are in network order, too.

    HELLO      JSON                                             handshake
    AUTH       HMAC-SHA256                                      handshake
    ACCEPT     empty                                            handshake
    REJECT     JSON {"code": int, "reasons": [str, …]}          handshake
    CONTROL    JSON object                                      control connections
    HEARTBEAT  empty                                            control connections
    DATA       channel, count and sizes of parts, the parts     data connections
    BARRIER    channel, epoch                                   data connections
    END        channel                                          data connections
    CREDIT     channel, amount                                  data connections
"""

import json
from enum import IntEnum
from struct import Struct
from typing import Any

from engine.mesh.hello import HELLO_LIMIT
from engine.messages import Barrier, Channel, Credit, Encoded, EndOfInput

PREAMBLE = b"HOSTMESH"
HEADER = Struct("!BQ")


class Kind(IntEnum):
    """Type of a frame."""

    HELLO = 1
    AUTH = 2
    ACCEPT = 3
    REJECT = 4
    CONTROL = 5
    HEARTBEAT = 6
    DATA = 7
    BARRIER = 8
    END = 9
    CREDIT = 10


HANDSHAKE_LIMITS = {Kind.HELLO: HELLO_LIMIT, Kind.AUTH: 32, Kind.ACCEPT: 0, Kind.REJECT: 1 << 16}
"""Bytes that the body of a frame may have before the connection is established."""

_CHANNEL = Struct("!III")
_CHANNEL_NUMBER = Struct("!IIIQ")
_DATA = Struct("!III?IQ")
_BARRIER_FRAME = Struct("!BQIIIQ")
_END_FRAME = Struct("!BQIII")
_DATA_FRAME = Struct("!BQIII?IQ")

_ALIGNMENT = 16
"""Out-of-band buffers begin at multiples of it, so that arrays in them are aligned."""


class FrameError(ValueError):
    """Bytes that are no frame, or none that may come now."""


def frame(kind: Kind, body: bytes = b"") -> bytes:
    """A whole frame."""
    return HEADER.pack(kind, len(body)) + body


def json_frame(kind: Kind, value: dict[str, Any]) -> bytes:
    """A whole frame whose body is JSON."""
    return frame(kind, json.dumps(value, separators=(",", ":")).encode())


def barrier_frame(channel: Channel, epoch: int) -> bytes:
    """A whole BARRIER frame."""
    return _BARRIER_FRAME.pack(Kind.BARRIER, _CHANNEL_NUMBER.size, *channel, epoch)


def end_frame(channel: Channel) -> bytes:
    """A whole END frame."""
    return _END_FRAME.pack(Kind.END, _CHANNEL.size, *channel)


def credit_frame(channel: Channel, amount: int) -> bytes:
    """A whole CREDIT frame."""
    return _BARRIER_FRAME.pack(Kind.CREDIT, _CHANNEL_NUMBER.size, *channel, amount)


def data_frame(batch: Encoded) -> list[bytes | memoryview]:
    """A DATA frame in pieces: its beginning, then the parts of the batch as they are."""
    pickled = batch.pickled
    length = _DATA.size + len(pickled)
    if not batch.buffers:
        head = _DATA_FRAME.pack(Kind.DATA, length, *batch.channel, batch.grouped, 0, len(pickled))
        return [head, pickled]
    sizes = [buffer.nbytes for buffer in batch.buffers]
    length += 8 * len(sizes)
    parts: list[bytes | memoryview] = [pickled]
    for buffer, size in zip(batch.buffers, sizes, strict=True):
        padding = -length % _ALIGNMENT
        if padding:
            parts.append(bytes(padding))
        parts.append(buffer)
        length += padding + size
    head = _DATA_FRAME.pack(
        Kind.DATA, length, *batch.channel, batch.grouped, len(sizes), len(pickled)
    )
    return [head + Struct(f"!{len(sizes)}Q").pack(*sizes), *parts]


def read_data(body: bytearray) -> Encoded:
    """Read the body of a DATA frame; the batch consists of views of it."""
    exchange, sender, receiver, grouped, count, size = _DATA.unpack_from(body)
    view = memoryview(body)
    channel = Channel(exchange, sender, receiver)
    start = _DATA.size + 8 * count
    end = start + size
    buffers = []
    if count:
        for buffer_size in Struct(f"!{count}Q").unpack_from(body, _DATA.size):
            begin = end + -end % _ALIGNMENT
            end = begin + buffer_size
            buffers.append(view[begin:end])
    if end != len(body):
        msg = "the sizes in a DATA frame do not add up"
        raise FrameError(msg)
    return Encoded(channel, view[start : start + size], buffers, grouped)


def read_json(body: bytes | bytearray) -> dict[str, Any]:
    """Read a body that is a JSON object."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        msg = "a frame holds no JSON object"
        raise FrameError(msg)
    return value


def read_barrier(body: bytearray) -> Barrier:
    """Read the body of a BARRIER frame."""
    exchange, sender, receiver, epoch = _CHANNEL_NUMBER.unpack(body)
    return Barrier(Channel(exchange, sender, receiver), epoch)


def read_end(body: bytearray) -> EndOfInput:
    """Read the body of an END frame."""
    return EndOfInput(Channel(*_CHANNEL.unpack(body)))


def read_credit(body: bytearray) -> Credit:
    """Read the body of a CREDIT frame."""
    exchange, sender, receiver, amount = _CHANNEL_NUMBER.unpack(body)
    return Credit(Channel(exchange, sender, receiver), amount)
