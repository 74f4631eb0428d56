"""The slow network."""

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tests.fleet.proxy import Proxy


@pytest.fixture
def echo() -> Iterator[tuple[str, int]]:
    """A server that sends back what it gets."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(connection: socket.socket) -> None:
        with connection:
            while data := connection.recv(1 << 16):
                connection.sendall(data)

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threads.append(threading.Thread(target=serve, args=(connection,)))
            threads[-1].start()

    threads = [threading.Thread(target=accept)]
    threads[0].start()
    yield listener.getsockname()
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    for thread in threads:
        thread.join()


def round_trip(connection: socket.socket, data: bytes = b"ping") -> float:
    """Seconds until all bytes are back."""
    began = time.monotonic()
    sender = threading.Thread(target=connection.sendall, args=(data,))
    sender.start()
    back = bytearray()
    while len(back) < len(data):
        back += connection.recv(1 << 16)
    sender.join()
    assert back == data
    return time.monotonic() - began


def test_bytes_take_their_time_in_each_direction(echo: tuple[str, int]) -> None:
    with Proxy(echo, delay=0.05) as proxy, socket.create_connection(proxy.address) as connection:
        assert min(round_trip(connection) for _ in range(3)) == pytest.approx(0.1, abs=0.02)


def test_delayed_bytes_do_not_wait_for_each_other(echo: tuple[str, int]) -> None:
    with Proxy(echo, delay=0.05) as proxy, socket.create_connection(proxy.address) as connection:
        assert round_trip(connection, bytes(1 << 22)) < 1


def test_bandwidth_is_limited(echo: tuple[str, int]) -> None:
    with (
        Proxy(echo, bandwidth=1_000_000) as proxy,
        socket.create_connection(proxy.address) as connection,
    ):
        assert round_trip(connection, bytes(300_000)) > 0.3


def test_a_cut_holds_bytes_back(echo: tuple[str, int]) -> None:
    with Proxy(echo) as proxy, socket.create_connection(proxy.address) as connection:
        round_trip(connection)
        proxy.cut()
        connection.sendall(b"word")
        connection.settimeout(0.2)
        with pytest.raises(TimeoutError):
            connection.recv(4)
        connection.settimeout(10)
        proxy.mend()
        assert connection.recv(4) == b"word"


def test_connections_end_by_half_and_break(echo: tuple[str, int]) -> None:
    with Proxy(echo, delay=0.01) as proxy:
        with socket.create_connection(proxy.address) as connection:
            connection.sendall(b"last words")
            connection.shutdown(socket.SHUT_WR)
            assert connection.recv(100) == b"last words"
            assert connection.recv(100) == b""
        with socket.create_connection(proxy.address) as connection:
            round_trip(connection)
            proxy.reset()
            assert connection.recv(1) == b""
        with socket.create_connection(proxy.address) as connection:
            round_trip(connection)
            proxy.close()
            assert connection.recv(1) == b""


def test_nobody_behind_it_closes_the_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        target = taken.getsockname()
    with Proxy(target) as proxy, socket.create_connection(proxy.address) as connection:
        assert connection.recv(1) == b""
