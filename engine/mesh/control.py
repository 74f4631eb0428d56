"""The control thread of a process: assembles the mesh, then watches over it."""

import logging
import socket
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from engine.errors import EngineError
from engine.mesh.reports import (
    Assembled,
    DataLink,
    MeshEvent,
    MeshFailed,
    Message,
    PeerLost,
    PeerView,
)
from engine.settings import ClusterSettings

if TYPE_CHECKING:
    from engine.mesh.hello import Hello
    from engine.mesh.peers import Timing

__all__ = ["Assembled", "DataLink", "Mesh", "MeshEvent", "MeshFailed", "Message", "PeerLost"]

_log = logging.getLogger("engine.mesh")


class Mesh:
    """All connections of one process, on a thread of its own; for use by any other thread.

    Args:
        settings: Of this process.
        hello: What it tells its peers.
        listener: A socket that listens (see `engine.mesh.assembly.listen`); closed by `close`.
        emit: Called on the control thread with each event; must not block.
        timing: How long to wait for what.

    Raises:
        ConfigurationError: If TLS files cannot be used.
    """

    def __init__(
        self,
        settings: ClusterSettings,
        hello: "Hello",
        listener: socket.socket,
        emit: Callable[[MeshEvent], None],
        *,
        timing: "Timing | None" = None,
    ) -> None:
        # Imported here as a process without peers has no use for them.
        from engine.mesh.loop import Loop
        from engine.mesh.membership import Membership

        self._emit = emit
        self._loop = Loop()
        self._membership = Membership(self._loop, settings, hello, listener, emit, timing)
        self._thread = threading.Thread(target=self._run, name="mesh", daemon=True)

    def start(self) -> None:
        """Begin to assemble."""
        self._thread.start()

    def send(self, process: int, message: dict[str, Any]) -> None:
        """Send to one peer; dropped if it is not connected."""
        self._loop.call(lambda: self._membership.send(process, message))

    def broadcast(self, message: dict[str, Any]) -> None:
        """Send to every connected peer."""
        self._loop.call(lambda: self._membership.broadcast(message))

    def view(self) -> dict[int, PeerView]:
        """What is known of each peer now."""
        return self._membership.view()

    def close(self, limit: float = 1.0) -> None:
        """Say bye, send what is pending, and end the thread.

        Data links that were handed over stay open.

        Args:
            limit: Seconds that peers have to take what is pending.
        """
        if self._thread.ident is None:
            self._membership.abandon()
            self._loop.close()
            return
        self._loop.call(lambda: self._membership.close(limit))
        self._thread.join()

    def _run(self) -> None:
        try:
            self._membership.begin()
            while not self._membership.done:
                if self._loop.turn(self._membership.next_tick()):
                    self._membership.tick(time.monotonic())
        except Exception as error:
            _log.exception("the control thread failed")
            failure = EngineError(f"the control thread failed: {error!r}")
            failure.__cause__ = error
            self._emit(MeshFailed(failure))
        finally:
            self._membership.abandon()
            self._loop.close()
