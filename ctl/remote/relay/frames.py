"""What relays say to each other inside of TLS: data in frames, so that an end can be told.

A frame begins with four bytes: the length of the data that follows, or one of the words. TLS has
a word for the end of one direction too, but Python cannot say it and go on reading.
"""

import enum
import struct
from collections.abc import Iterator

HEADER_BYTES = 4
LONGEST_DATA = 1 << 20
_HEADER = struct.Struct(">I")


class Word(enum.IntEnum):
    """Frames without data."""

    JOINED = 0xFFFFFF01
    """The engine here has accepted the connection."""
    ABSENT = 0xFFFFFF02
    """The engine here does not listen yet; the connection is held."""
    END = 0xFFFFFF03
    """No more data comes this way."""
    RESET = 0xFFFFFF04
    """The connection was reset here, after the data before."""
    BEAT = 0xFFFFFF05
    """The relay lives."""


class FrameError(ValueError):
    """The other side does not speak as it should."""


def word(value: Word) -> bytes:
    """A frame without data."""
    return _HEADER.pack(value)


def write_header(buffer: memoryview, length: int) -> None:
    """Put the header of a frame with data at the start of a buffer."""
    _HEADER.pack_into(buffer, 0, length)


class Decoder:
    """Takes frames apart, however they were cut."""

    def __init__(self) -> None:
        self._left = 0
        self._header = b""

    def feed(self, data: memoryview) -> Iterator[memoryview | Word]:
        """Give words, and data in pieces that are parts of what is given.

        Args:
            data: What has come.

        Raises:
            FrameError: If that is no frame.
        """
        while data:
            if not self._left:
                missing = HEADER_BYTES - len(self._header)
                self._header += data[:missing]
                data = data[missing:]
                if len(self._header) == HEADER_BYTES:
                    (value,) = _HEADER.unpack(self._header)
                    self._header = b""
                    if value > LONGEST_DATA:
                        yield _word(value)
                    self._left = 0 if value > LONGEST_DATA else value
                continue
            piece = data[: self._left]
            self._left -= len(piece)
            data = data[len(piece) :]
            yield piece


def _word(value: int) -> Word:
    try:
        return Word(value)
    except ValueError:
        msg = f"{value:#x} begins no frame"
        raise FrameError(msg) from None
