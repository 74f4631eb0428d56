import socket
import threading
import time

import pytest

from engine.mesh import loop as loop_module
from engine.mesh.loop import Loop
from tests.engine.mesh.nodes import DEADLINE


class Clock:
    def __init__(self, *readings):
        self._readings = list(readings)

    def monotonic(self):
        return self._readings.pop(0)


def test_a_call_from_another_thread_wakes_the_loop():
    loop = Loop()
    called = []
    threading.Thread(target=lambda: loop.call(lambda: called.append(1))).start()
    end = time.monotonic() + DEADLINE
    while not called:
        assert time.monotonic() < end
        loop.turn(end)
    loop.close()


def test_a_call_after_the_end_is_not_made():
    loop = Loop()
    loop.close()
    loop.call(pytest.fail)


def test_time_limits_are_not_judged_right_after_a_stop(monkeypatch):
    loop = Loop()
    monkeypatch.setattr(loop_module, "time", Clock(0.0, 60.0, 60.0, 60.0))
    assert not loop.turn(0.0)
    assert loop.turn(0.0)
    loop.close()


def test_a_loop_that_is_always_late_judges_time_limits_all_the_same(monkeypatch):
    loop = Loop()
    monkeypatch.setattr(loop_module, "time", Clock(0.0, 5.0, 5.0, 10.0, 10.0, 15.0))
    assert [loop.turn(0.0) for _ in range(3)] == [False, True, True]
    loop.close()


def test_a_socket_that_one_callback_takes_away_is_not_called_back():
    loop = Loop()
    pairs = [socket.socketpair() for _ in range(2)]
    called = []

    def take_both():
        called.append(1)
        for near, far in pairs:
            loop.forget(near)
            near.close()
            far.close()

    for near, far in pairs:
        loop.watch(near, take_both)
        far.send(b"x")
    loop.turn(time.monotonic() + DEADLINE)
    assert called == [1]
    loop.close()
