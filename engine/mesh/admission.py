"""Decide who may connect, and which rejections end an assembly."""

from collections.abc import Mapping

from engine.mesh.events import MISMATCH, TRY_AGAIN, UNAUTHORISED, Refusal, Rejected
from engine.mesh.hello import Hello
from engine.mesh.links import Link
from engine.mesh.peers import Peer
from engine.settings import ClusterSettings


class Admission:
    """What a process makes of the hellos of others that belong to its cluster.

    A process that was there first is not bothered by one that takes its ID, nor by strangers
    that cannot prove who they are.

    Args:
        settings: Of this process.
        hello: What it says itself.
        peers: By process ID.
    """

    def __init__(self, settings: ClusterSettings, hello: Hello, peers: Mapping[int, Peer]) -> None:
        self.assembling = True
        self._settings = settings
        self._hello = hello
        self._peers = peers
        self._refused: set[Link] = set()

    def refuse(self, link: Link, hello: Hello) -> Refusal | None:
        """Judge a process that has proved who it is; note what it is let in for."""
        refusal = self._taken(hello) or self._unwanted(link, hello)
        if refusal is not None:
            self._refused.add(link)
        elif hello.process in self._peers and link.connection.hello.purpose != "probe":
            self._peers[hello.process].links.add(link)
        return refusal

    def is_fatal(self, link: Link, rejected: Rejected) -> bool:
        """Whether waiting would not help: this process or its peer is set up wrongly."""
        if not self.assembling or link in self._refused:
            return False
        if link.dialed is None:
            return rejected.code == MISMATCH and not rejected.by_peer
        is_probe = link.connection.hello.purpose == "probe"
        return rejected.code == MISMATCH or (rejected.code == UNAUTHORISED and not is_probe)

    def forget(self, link: Link) -> None:
        """Take note that a link is closed."""
        self._refused.discard(link)

    def _taken(self, hello: Hello) -> Refusal | None:
        """Whether there is another process with that ID."""
        own = self._hello.process
        if hello.process == own:
            holder = f"{self._hello} at {self._settings.addresses[own]}"
        else:
            peer = self._peers.get(hello.process)
            link = peer.holder(hello) if peer is not None else None
            if link is None:
                return None
            holder = f"{link.connection.peer} from {link.where}"
        return Refusal(MISMATCH, f"process id {hello.process} is already taken by {holder}")

    def _unwanted(self, link: Link, hello: Hello) -> Refusal | None:
        """Whether it is not the time or the direction for a connection to a peer."""
        # Probes do no harm, and of unknown processes the handshake finds out what is wrong.
        if link.connection.hello.purpose == "probe" or hello.process not in self._peers:
            return None
        own = self._hello.process
        if not self.assembling:
            reason = f"process {own} is not assembling a mesh, and takes no more connections"
            return Refusal(TRY_AGAIN, reason)
        if link.dialed is None and hello.process < own:
            return Refusal(MISMATCH, f"process {hello.process} should not dial process {own}")
        return None
