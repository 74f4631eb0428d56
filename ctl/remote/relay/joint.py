"""One relayed connection as a state machine: what happens to it in, what is to be done out.

It has two ends: the *engine*, a plain connection on loopback, and the *link*, one to the relay of
the peer. The relay whose engine dials makes the link; the other then connects to its own engine.
Data does not come by here, only what is allowed to it and what comes behind it.
"""

import enum
from dataclasses import dataclass

from ctl.remote.relay.frames import FrameError, Word

BEAT_SECONDS = 2.0
"""Silence after which a relay shows that it lives."""

SILENCE_SECONDS = 15.0
"""Silence after which the other relay or what is between is taken for dead."""


class Do(enum.Enum):
    """What is to be done, in this order."""

    DIAL = "make the link"
    DIAL_LATER = "make the link after a pause"
    CONNECT = "connect to the engine"
    CONNECT_LATER = "connect to the engine after a pause"
    SAY_JOINED = Word.JOINED
    SAY_ABSENT = Word.ABSENT
    SAY_END = Word.END
    SAY_RESET = Word.RESET
    SAY_BEAT = Word.BEAT
    END_ENGINE = "end what goes to the engine, after all data"
    CLOSE_ENGINE = "close the connection to the engine, after all data"
    LOOK = "look whether the engine has closed its connection, now and from time to time"
    RESET_ENGINE = "reset the connection to the engine"
    CLOSE_LINK = "close the link, after all data"
    RESET_LINK = "drop the link"


@dataclass
class Joint:
    """One relayed connection.

    Args:
        dials: Whether the engine here has dialed; otherwise the link was made by the peer, whose
            certificate has been verified.
    """

    dials: bool
    joined: bool = False
    closed: bool = False
    has_link: bool = False
    engine_ended: bool = False
    link_ended: bool = False
    _absent: bool = False
    _heard: float = 0.0
    _said: float = 0.0

    @property
    def reads_engine(self) -> bool:
        """Whether data of the engine may be taken."""
        return self.joined and not self.engine_ended and not self.closed

    def opened(self, now: float) -> list[Do]:
        """Begin."""
        if self.dials:
            return [Do.DIAL]
        self.has_link = True
        self._heard = self._said = now
        return [Do.CONNECT]

    def due(self) -> list[Do]:
        """A pause is over."""
        if self.closed:
            return []
        return [Do.DIAL if self.dials else Do.CONNECT]

    # The link.

    def linked(self, now: float) -> list[Do]:
        """The link is made, and the certificate at its other end is the right one."""
        self.has_link = True
        self._heard = self._said = now
        return []

    def link_failed(self) -> list[Do]:
        """The link cannot be made, or is broken."""
        if self.closed:
            return []
        self.has_link = False
        if self.dials and not self.joined:
            self._absent = True
            return [Do.RESET_LINK, Do.DIAL_LATER, *self._look()]
        return self._close(Do.RESET_ENGINE, Do.RESET_LINK)

    def data_came(self) -> list[Do]:
        """The peer has sent data.

        Raises:
            FrameError: If it must not.
        """
        if not self.joined or self.link_ended:
            msg = "data where none is due"
            raise FrameError(msg)
        return []

    def heard(self, word: Word) -> list[Do]:
        """The peer has said a word.

        Raises:
            FrameError: If it must not.
        """
        if self.closed or word is Word.BEAT:
            return []
        if word is Word.RESET:
            return self._close(Do.RESET_ENGINE, Do.RESET_LINK)
        if word is Word.END and self.joined and not self.link_ended:
            self.link_ended = True
            return [Do.END_ENGINE, *self._finish()]
        if word is Word.ABSENT and self.dials and not self.joined:
            self._absent = True
            return self._look()
        if word is Word.JOINED and self.dials and not self.joined:
            self.joined = True
            # What the engine has sent before its end is still to be read, and its end after it.
            self.engine_ended = False
            return []
        msg = f"{word.name} where it is not due"
        raise FrameError(msg)

    # The engine.

    def connected(self) -> list[Do]:
        """The engine has accepted."""
        self.joined = True
        return [Do.SAY_JOINED]

    def refused(self) -> list[Do]:
        """The engine does not listen yet."""
        if self._absent:
            return [Do.CONNECT_LATER]
        self._absent = True
        return [Do.SAY_ABSENT, Do.CONNECT_LATER]

    def engine_end(self) -> list[Do]:
        """The engine sends nothing more; what it has sent has been read, unless it is held.

        While its peer is not there, it may have given up; see `engine_left`. One attempt that is
        under way goes on: a short request with its end right behind it is none that was given up.
        """
        if self.closed or self.engine_ended:
            return []
        self.engine_ended = True
        if self.joined:
            return [Do.SAY_END, *self._finish()]
        return self._look()

    def engine_left(self) -> list[Do]:
        """The engine has closed its connection, and not just the direction from it.

        An engine that gives up while its peer is not there must not be connected to it later.
        """
        return [] if self.closed or self.joined else self._give_up()

    def engine_failed(self) -> list[Do]:
        """The engine has reset its connection."""
        return [] if self.closed else self._give_up()

    # Time.

    def tick(self, now: float, heard: float | None, said: float) -> list[Do]:
        """Some time has passed.

        Args:
            now: Time of a monotonic clock, in seconds.
            heard: When something came over the link last; None while nothing is read from it.
            said: When something was sent over the link last.
        """
        if self.closed or not self.has_link:
            return []
        self._heard = now if heard is None else max(heard, self._heard)
        self._said = max(said, self._said)
        if now - self._heard > SILENCE_SECONDS:
            return self.link_failed()
        if now - self._said >= BEAT_SECONDS:
            self._said = now
            return [Do.SAY_BEAT]
        return []

    def _finish(self) -> list[Do]:
        if self.engine_ended and self.link_ended:
            return self._close(Do.CLOSE_ENGINE, Do.CLOSE_LINK)
        return []

    def _look(self) -> list[Do]:
        return [Do.LOOK] if self._absent and self.engine_ended else []

    def _give_up(self) -> list[Do]:
        say = [Do.SAY_RESET, Do.CLOSE_LINK] if self.has_link else [Do.RESET_LINK]
        return self._close(*say, Do.RESET_ENGINE)

    def _close(self, *what: Do) -> list[Do]:
        self.closed = True
        return list(what)
