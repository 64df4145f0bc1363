"""Back-off, ports and the lock, without processes."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from tests.support.house import free_ports

from agentos.host import supervisor
from agentos.host.home import Home, HomeError
from agentos.host.supervisor import Child, check_ports, is_running, take_lock


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(supervisor.time, "monotonic", lambda: self.now)


def test_a_child_that_keeps_dying_waits_longer_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    child = Child("c", lambda: 7)
    waits = []
    for _ in range(10):
        child.launch()
        assert child.pid == 7
        child.died()
        assert child.pid == 0
        waits.append(round(child.due - clock.now, 3))
        clock.now = child.due
    assert waits == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30.0, 30.0]


def test_a_child_that_lived_long_starts_over(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    child = Child("c", lambda: 7, backoff=30.0)
    child.launch()
    clock.now += supervisor.STEADY_SECONDS + 1
    child.died()
    assert child.due - clock.now == pytest.approx(supervisor.BACKOFF_START)


def test_a_taken_port_is_named() -> None:
    taken, free = free_ports(2)
    check_ports(f"ws://127.0.0.1:{free}")
    with socket.create_server(("127.0.0.1", taken)), pytest.raises(HomeError, match=f"{taken}: "):
        check_ports(f"ws://127.0.0.1:{free}", f"http://127.0.0.1:{taken}")
    check_ports(f"http://127.0.0.1:{taken}")


def test_one_supervisor_per_home(tmp_path: Path) -> None:
    home = Home(tmp_path)
    assert not is_running(home)
    home.prepare()
    assert not is_running(home)
    lock = take_lock(home)
    assert is_running(home)
    with pytest.raises(HomeError, match=r"already runs from .* \(pid \d+\)"):
        take_lock(home)
    lock.close()
    assert not is_running(home)
    take_lock(home).close()
