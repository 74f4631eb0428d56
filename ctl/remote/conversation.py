"""The frames that a session and its operator exchange, and whether the operator is still there."""

import contextlib
import os
import queue
import select
import threading
import time

from ctl.remote.frames import Decoder, Message, encode

SILENCE_SECONDS = 20.0
"""How long the operator may be silent; their `ctl` sends a beat far more often."""

BEAT_SECONDS = 2.0
_READ = 1 << 18
_WRITE = 4096
"""What can be written without waiting, once a pipe is writable."""

_QUEUE = 64


class Conversation:
    """What comes from the operator, and goes to them.

    Args:
        streams: Descriptors that messages come from and go to.
    """

    def __init__(self, streams: tuple[int, int]) -> None:
        self._input, self._output = streams
        self._writable = select.poll()
        self._writable.register(self._output, select.POLLOUT)
        self._incoming: queue.Queue[tuple[Message, bytes] | None] = queue.Queue(_QUEUE)
        self._lost = threading.Event()
        self._cancelled: set[int] = set()
        self._writing = threading.Lock()

    @property
    def is_lost(self) -> bool:
        """Whether the operator is gone."""
        return self._lost.is_set()

    def start(self) -> None:
        """Begin to take what comes."""
        threading.Thread(target=self._read, daemon=True).start()

    def is_wanted(self, number: int) -> bool:
        """Whether the operator is there, and has not cancelled a question."""
        return not self.is_lost and number not in self._cancelled

    def take(self) -> tuple[Message, bytes] | None:
        """The next message that is for us, and its data; None once the operator is gone."""
        item = self._incoming.get()
        if item is None:
            # A push may have taken the end, which whoever takes next has to find, too.
            self._incoming.put(None)
        return item

    def send(self, message: Message, data: bytes = b"") -> None:
        """Send a message; that the operator is gone is no error."""
        frame = memoryview(encode(message, data))
        with self._writing:
            try:
                # An operator who reads no more must not keep us for ever.
                while frame and not self.is_lost:
                    if self._writable.poll(BEAT_SECONDS * 1000):
                        frame = frame[os.write(self._output, frame[:_WRITE]) :]
            except OSError:
                self._lost.set()

    def _read(self) -> None:
        """Take what comes, and beat, until nothing comes any more."""
        decoder = Decoder()
        poll = select.poll()
        poll.register(self._input, select.POLLIN)
        heard = beaten = time.monotonic()
        with contextlib.suppress(OSError, ValueError):
            while (now := time.monotonic()) - heard < SILENCE_SECONDS:
                # Also while much comes: on a slow line, one message may take longer than a beat.
                if now - beaten >= BEAT_SECONDS:
                    self._beat()
                    beaten = now
                if not poll.poll(BEAT_SECONDS * 1000):
                    continue
                received = os.read(self._input, _READ)
                if not received:
                    break
                for message, data in decoder.feed(received):
                    if "cancel" in message:
                        self._cancelled.add(message["cancel"])
                    elif "beat" not in message:
                        self._incoming.put((message, data))
                heard = time.monotonic()
        self._lost.set()
        self._incoming.put(None)

    def _beat(self) -> None:
        """Show life, unless a longer message is on its way or has filled the pipe.

        Whoever beats also finds out that the operator is gone, so it never waits.
        """
        if not self._writing.acquire(blocking=False):
            return
        try:
            if self._writable.poll(0):
                os.write(self._output, encode({"beat": True}))
        except OSError:
            self._lost.set()
        finally:
            self._writing.release()
