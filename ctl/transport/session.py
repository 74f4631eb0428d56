"""The operator's end of a session on a host: ask, push and listen over one channel."""

import contextlib
import itertools
import json
import queue
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ctl.errors import BY_EXIT_CODE, CtlError, LostError, VersionError
from ctl.inventory import Host
from ctl.layers import Layer, agent_sources
from ctl.remote.bootstrap import first_lines
from ctl.remote.frames import Decoder, Message, encode
from ctl.transport.channel import Channel

_READ = 1 << 18
_BEAT_SECONDS = 4.0
_SILENCE_SECONDS = 15.0
_BEGIN_SECONDS = 60.0
"""A login script may be slow; one that waits for an answer gets none."""

_NOISE_BYTES = 1 << 20
OLDEST_PYTHON = (3, 11)

Event = Callable[[dict[str, Any], bytes], None]


class Session:
    """A conversation with the code on a host; one question at a time.

    Args:
        host: Which.
        channel: Where `bootstrap.COMMAND` was started.
        agent: The layer with the code for hosts.

    Raises:
        VersionError: If the host has no Python that will do.
        LostError: If the channel ends, or nothing is heard for 15 seconds.

    Attributes:
        facts: Of the host, as `ctl.remote.facts` gathers them.
        clock_offset_s: How far the host's clock is ahead of ours, less the way of an answer.
    """

    def __init__(self, host: Host, channel: Channel, agent: Layer) -> None:
        self.host = host
        self._channel = channel
        self._numbers = itertools.count(1)
        # Bounded, so that a host that sends faster than we read is held back.
        self._received: queue.Queue[tuple[Message, bytes] | None] = queue.Queue(64)
        self._heard = time.monotonic()
        self._closed = threading.Event()
        self._pushing = threading.Event()
        self._asking, self._sending = threading.Lock(), threading.Lock()
        self._interrupted = False
        self._current = 0
        mark = secrets.token_hex(16)
        decoder = self._begin(mark, {"root": host.root, "agent": agent.digest})
        self._heard = time.monotonic()
        threading.Thread(target=self._read, args=(decoder,), daemon=True).start()
        threading.Thread(target=self._beat, daemon=True).start()
        self.facts = self._greet(agent)
        # The start of an interpreter lies before the answer, and only its way after it.
        self.clock_offset_s = round(self.facts["time"] - time.time(), 3)

    def ask(self, what: str, *, on_event: Event | None = None, **arguments: Any) -> Any:
        """Have the host do something, and wait for the result.

        Args:
            what: Name of one of the agent's operations.
            on_event: Takes what it says meanwhile.
            arguments: Of the operation.

        Raises:
            CtlError: What the host reports.
            LostError: If the host is lost meanwhile.
        """
        with self._question(what, arguments) as number:
            return self._result(number, on_event)

    def push(self, layer: Layer, sent: Callable[[int], None]) -> None:
        """Send a layer.

        Args:
            layer: Which.
            sent: Is told how many more bytes, uncompressed, have gone.

        Raises:
            CtlError: What the host reports.
        """
        with self._question("push", {"digest": layer.digest}) as number:
            self._pushing.set()
            try:
                for block in layer.pack():
                    self._send({"block": True}, block.data)
                    sent(block.size)
                    if self._interrupted:
                        break
            finally:
                # The host waits for it, even if a file of the layer could not be read.
                self._send({"block": True, "last": True})
                self._pushing.clear()
            self._result(number, None)

    def stream(self, what: str, **arguments: Any) -> Iterator[tuple[dict[str, Any], bytes]]:
        """Have the host do something, and give what it says meanwhile.

        Raises:
            CtlError: What the host reports.
            LostError: If the host is lost meanwhile.
        """
        with self._question(what, arguments) as number:
            try:
                while True:
                    message, data = self._next()
                    if "event" in message:
                        yield message["event"], data
                    elif message.get("id") == number:
                        self._unwrap(message)
                        return
            finally:
                with contextlib.suppress(CtlError):
                    self._send({"cancel": number})

    def interrupt(self) -> None:
        """Have the host give up what it does, if it can; whoever waits for it is answered."""
        self._interrupted = True
        with contextlib.suppress(CtlError):
            self._send({"cancel": self._current})

    def resume(self) -> None:
        """Have the host go on with what it is asked next, after an interrupt."""
        with self._asking:
            self._interrupted = False

    def is_idle(self, seconds: float) -> bool:
        """Wait until nothing is asked any more; tell whether that came to be in time."""
        idle = self._asking.acquire(timeout=seconds)
        if idle:
            self._asking.release()
            self._interrupted = False
        return idle

    def close(self) -> None:
        """End the session; what the host had not committed is undone there."""
        self._closed.set()
        self._channel.close()

    # What goes.

    @contextlib.contextmanager
    def _question(self, what: str, arguments: Mapping[str, Any]) -> Iterator[int]:
        """One question at a time; give its number."""
        with self._asking:
            self._current = next(self._numbers)
            self._send({"id": self._current, "do": what, "with": arguments})
            if self._interrupted:
                # The interrupt came just before, and named another question.
                self._send({"cancel": self._current})
            yield self._current

    def _send(self, message: Message, data: bytes = b"") -> None:
        frame = encode(message, data)
        with self._sending:
            self._channel.send(frame)

    def _beat(self) -> None:
        """Show life, and see to it that a send to a host that is gone ends."""
        while not self._closed.wait(_BEAT_SECONDS):
            if self._is_silent():
                self.close()
                return
            # Whoever sends shows life, and a push may wait for room that never comes.
            if not self._sending.acquire(blocking=False):
                continue
            try:
                if not self._pushing.is_set():
                    self._channel.send(encode({"beat": True}))
            except CtlError:
                return
            finally:
                self._sending.release()

    # What comes.

    def _begin(self, mark: str, wanted: Message) -> Decoder:
        """Skip what login scripts print; see which Python answers."""
        limit = threading.Timer(_BEGIN_SECONDS, self.close)
        limit.daemon = True
        limit.start()
        try:
            # A command that has ended at once has said why.
            with contextlib.suppress(LostError):
                self._channel.send(first_lines(mark, self.host.python))
                self._channel.send(encode(wanted))
            line, rest = self._answer(f"\n{mark} ".encode())
        finally:
            limit.cancel()
        version = json.loads(line).get("version")
        if version is None:
            msg = f"no Python: there is no `{self.host.python}`"
            raise VersionError(msg, f"set `python` of {self.host.name} in the inventory")
        if tuple(version) < OLDEST_PYTHON:
            shown = ".".join(map(str, version))
            msg = f"Python {shown}, too old; 3.11 or newer is needed"
            raise VersionError(msg, f"set `python` of {self.host.name} in the inventory")
        self._rest = rest
        return Decoder()

    def _answer(self, start: bytes) -> tuple[bytes, bytes]:
        """The line that starts so, and what is there behind it."""
        received = b"\n"
        while True:
            _, found, rest = received.partition(start)
            if found and b"\n" in rest:
                line, _, rest = rest.partition(b"\n")
                return line, rest
            more = self._channel.receive(_READ)
            if not more or len(received) > _NOISE_BYTES:
                raise self._no_answer(received)
            received += more

    def _no_answer(self, received: bytes) -> CtlError:
        if self._closed.is_set():
            msg = f"`{self.host.python}` did not start in {_BEGIN_SECONDS:g} s"
            return LostError(msg, "see what a login there waits for")
        said = self._channel.complaint.strip()
        text = said or received.decode("utf-8", "replace").strip()[-200:] or "it said nothing"
        return LostError(f"`{self.host.python}` did not start: {text}")

    def _greet(self, agent: Layer) -> dict[str, Any]:
        message, _ = self._next()
        if message.get("need") == "agent":
            self._send({}, agent_sources(agent))
            message, _ = self._next()
        facts: dict[str, Any] = message["hello"]
        return facts

    def _read(self, decoder: Decoder) -> None:
        received = self._rest
        try:
            while True:
                for item in decoder.feed(received):
                    if "beat" not in item[0]:
                        self._put(item)
                received = self._channel.receive(_READ)
                self._heard = time.monotonic()
                if not received:
                    break
        except (CtlError, OSError, ValueError):
            pass  # Whoever waits for an answer is told that there is none.
        self._put(None)

    def _put(self, item: tuple[Message, bytes] | None) -> None:
        while not self._closed.is_set():
            try:
                self._received.put(item, timeout=1.0)
            except queue.Full:
                # It is us who do not listen.
                self._heard = time.monotonic()
            else:
                return

    def _next(self) -> tuple[Message, bytes]:
        while True:
            with contextlib.suppress(queue.Empty):
                item = self._received.get(timeout=1.0)
                if item is not None:
                    return item
                self._closed.set()
            if self._closed.is_set():
                raise self._lost()
            if self._is_silent():
                self.close()

    def _is_silent(self) -> bool:
        return time.monotonic() - self._heard > _SILENCE_SECONDS

    def _lost(self) -> LostError:
        if self._is_silent():
            msg = f"connection lost: nothing heard for {_SILENCE_SECONDS:g} s"
            return LostError(msg, "see whether the host is up and reachable")
        said = self._channel.complaint.strip()
        return LostError(f"connection lost: {said}" if said else "connection lost")

    def _result(self, number: int, on_event: Event | None) -> Any:
        while True:
            message, data = self._next()
            if message.get("id") != number:
                continue
            if "event" not in message:
                return self._unwrap(message)
            if on_event is not None:
                on_event(message["event"], data)

    def _unwrap(self, message: Message) -> Any:
        error = message.get("error")
        if error is not None:
            kind = BY_EXIT_CODE.get(error["exit_code"])
            if kind is not None:
                raise kind(error["problem"], error["fix"])
            unknown = CtlError(error["problem"], error["fix"])
            unknown.exit_code = error["exit_code"]
            raise unknown
        return message.get("result")
