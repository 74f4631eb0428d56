"""A TCP connection to a server, or one sentence about why there is none."""

import errno
import queue
import socket
import threading
import time
from typing import Any

from ctl.errors import UnreachableError

_KEEPALIVE_SECONDS = 10
_GONE_MILLISECONDS = 30_000

_Found = list[tuple[int, Any]]  # address family, socket address


def dial(hostname: str, port: int, seconds: float) -> socket.socket:
    """Connect; of several addresses each gets its share of the time.

    Args:
        hostname: Name or address.
        port: TCP port.
        seconds: Until the host is given up.

    Returns:
        A socket without delays, that notices within a minute that the other end is gone.

    Raises:
        UnreachableError: If there is no connection.
    """
    deadline = time.monotonic() + seconds
    left = _look_up(hostname, port, seconds)
    while True:
        family, address = left.pop(0)
        share = max(deadline - time.monotonic(), 0.0) / (len(left) + 1)
        try:
            return _connect(family, address, share)
        except OSError as error:
            if not left:
                raise _unreachable(error, f"{hostname} port {port}", seconds) from None


def _connect(family: int, address: Any, seconds: float) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.settimeout(max(seconds, 0.001))
        sock.connect(address)
        sock.settimeout(None)
        # Each question is one small packet, which must not wait for the answer to the last one.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in (
            ("TCP_KEEPIDLE", _KEEPALIVE_SECONDS),
            ("TCP_KEEPINTVL", _KEEPALIVE_SECONDS),
            ("TCP_USER_TIMEOUT", _GONE_MILLISECONDS),
        ):
            if hasattr(socket, name):
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    except BaseException:
        sock.close()
        raise
    return sock


def _look_up(hostname: str, port: int, seconds: float) -> _Found:
    answer: queue.SimpleQueue[_Found | Exception] = queue.SimpleQueue()

    def ask() -> None:
        try:
            found = socket.getaddrinfo(hostname, port, type=socket.SOCK_STREAM)
            answer.put([(int(family), where) for family, _, _, _, where in found])
        except (OSError, UnicodeError) as error:
            answer.put(error)

    # A name server may take its time, and nothing can interrupt `getaddrinfo`.
    threading.Thread(target=ask, name=f"name of {hostname}", daemon=True).start()
    try:
        found = answer.get(timeout=seconds)
    except queue.Empty:
        msg = f"no name server knew {hostname} within {seconds:g} s"
        raise UnreachableError(msg, "check the network of this machine") from None
    if isinstance(found, Exception):
        nobody = getattr(found, "errno", None) in {
            socket.EAI_NONAME,
            getattr(socket, "EAI_NODATA", socket.EAI_NONAME),
        }
        why = "" if nobody else f" ({getattr(found, 'strerror', None) or found})"
        msg = f"the name {hostname} is not known{why}"
        raise UnreachableError(
            msg, "check `ssh` of the host in the inventory, and HostName in ~/.ssh/config"
        )
    return found


def _unreachable(error: OSError, place: str, seconds: float) -> UnreachableError:
    if isinstance(error, TimeoutError):
        return UnreachableError(
            f"{place} has not answered in {seconds:g} s",
            "see whether the host is up, and whether a firewall drops the packets",
        )
    if error.errno == errno.ECONNREFUSED:
        return UnreachableError(
            f"{place} refused the connection",
            "see whether sshd runs there, on this port (`ssh_port`)",
        )
    if error.errno in {errno.EHOSTUNREACH, errno.ENETUNREACH}:
        return UnreachableError(
            f"there is no route to {place}", "see whether the host is up, and in this network"
        )
    return UnreachableError(f"cannot connect to {place}: {error.strerror or error}")
