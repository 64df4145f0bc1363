"""The supervisor: one engine, some hosts, each started again with back-off when it dies.

It is a plain loop without threads and without asyncio, so that forking from it is safe. It wakes
for a child that died, for a signal that ends it, or to start what is due.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import socket
import time
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import IO

from agentos.host.home import Home, HomeError
from agentos.host.parting import Parting
from agentos.host.process import fork_host, start_engine
from agentos.host.state import RunState

BACKOFF_START = 0.2
BACKOFF_LIMIT = 30.0
#: A child that lived this long starts over with the shortest back-off.
STEADY_SECONDS = 30.0
START_SECONDS = 30.0
#: Of the hosts, and then of the engine. A host drains, waits for the others, and stops the rest.
STOP_SECONDS = 16.0


@dataclass
class Child:
    """One process that must run. `start` gives its process id."""

    name: str
    start: Callable[[], int]
    pid: int = 0
    started: float = 0.0
    backoff: float = BACKOFF_START
    due: float = 0.0

    def launch(self) -> None:
        self.started = time.monotonic()
        self.pid = self.start()

    def died(self) -> None:
        """Plan the next start."""
        now = time.monotonic()
        if now - self.started > STEADY_SECONDS:
            self.backoff = BACKOFF_START
        self.pid = 0
        self.due = now + self.backoff
        self.backoff = min(self.backoff * 2, BACKOFF_LIMIT)


@dataclass
class Supervisor:
    """Runs the system of one home. `say` prints a line for the person who started it."""

    home: Home
    placement: dict[str, list[str]]
    engine_url: str
    api_url: str
    say: Callable[[str], None]
    on_ready: Callable[[], None] = lambda: None
    _signals: Signals = field(init=False)
    _parting: Parting = field(default_factory=Parting)
    _children: list[Child] = field(default_factory=list)
    _stopping: bool = False

    def run(self) -> int:
        """Start everything and stay until a signal ends it. Returns the exit code."""
        lock = take_lock(self.home)
        try:
            check_ports(self.engine_url, self.api_url)
        except HomeError:
            lock.close()
            raise
        self._signals = Signals()
        try:
            self._start_all()
            self._watch()
        except HomeError:
            self._stop_all()
            raise
        else:
            self._stop_all()
        finally:
            self._signals.close()
            self._parting.close()
            self.home.state_file.unlink(missing_ok=True)
            lock.close()
        return 0

    # -- starting --------------------------------------------------------------------------------

    def _start_all(self) -> None:
        """Hosts import their workers while the engine starts, and connect when it listens."""
        log_file = self.home.logs / "engine.log"
        engine = Child("engine", partial(start_engine, self.home.engine_config, log_file))
        self._children.append(engine)
        engine.launch()
        go_read, go_write = os.pipe()
        ready_pipes = []
        for name, workers in self.placement.items():
            ready_read, ready_write = os.pipe()
            ready_pipes.append(ready_read)
            fork = partial(
                fork_host,
                workers,
                self.engine_url,
                self.home.logs / f"{name}.log",
                parting=self._parting,
            )
            child = Child(name, fork)
            child.started = time.monotonic()
            child.pid = fork(go_read, ready_write, (go_write, *ready_pipes))
            os.close(ready_write)
            self._children.append(child)
        os.close(go_read)
        self._wait_for_engine(engine)
        os.close(go_write)
        self._wait_for_hosts(engine, ready_pipes)
        if not self._stopping:
            self._save_state()
            self.on_ready()

    def _wait_for_engine(self, engine: Child) -> None:
        parts = urllib.parse.urlsplit(self.engine_url)
        address = (parts.hostname or "localhost", parts.port or 80)
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            try:
                socket.create_connection(address, timeout=1).close()
            except OSError:
                self._check_engine_alive(engine)
                if self._signalled(0.01):
                    return
            else:
                self._check_engine_alive(engine)
                return
        raise HomeError(f"the engine does not listen on {address[0]}:{address[1]}; see its log")

    def _check_engine_alive(self, engine: Child) -> None:
        pid, _ = os.waitpid(engine.pid, os.WNOHANG)
        if pid:
            engine.pid = 0
            log_file = self.home.logs / "engine.log"
            lines = log_file.read_text(errors="replace").splitlines()
            last = lines[-1] if lines else "it said nothing"
            raise HomeError(f"the engine did not start: {last} (log: {log_file})")

    def _wait_for_hosts(self, engine: Child, pipes: list[int]) -> None:
        """A host closes its pipe when its workers are on the bus, or by dying. Without the engine
        they would wait for ever."""
        deadline = time.monotonic() + START_SECONDS
        waiting = set(pipes)
        while waiting and time.monotonic() < deadline and not self._signalled(0):
            readable, _, _ = select.select(waiting, [], [], 0.1)
            waiting -= set(readable)
            self._check_engine_alive(engine)
        for pipe in pipes:
            os.close(pipe)
        for child in self._children[1:]:
            if os.waitpid(child.pid, os.WNOHANG)[0]:
                child.died()
                self.say(f"host {child.name} died at its start; see {self.home.logs}")

    # -- watching --------------------------------------------------------------------------------

    def _watch(self) -> None:
        while not self._stopping:
            now = time.monotonic()
            for child in self._children:
                if child.pid == 0 and child.due <= now:
                    child.launch()
                    self._save_state()
            pause = min((c.due - now for c in self._children if c.pid == 0), default=3600)
            if self._signalled(max(pause, 0.01)):
                return
            self._reap()

    def _reap(self) -> None:
        for child in self._children:
            if child.pid and os.waitpid(child.pid, os.WNOHANG)[0]:
                child.died()
                wait = child.due - time.monotonic()
                self.say(f"{child.name} died; starting it again in {wait:.1f} s")

    def _signalled(self, timeout: float) -> bool:
        """Wait for a signal; true when it asks to stop."""
        if self._signals.wait(timeout) & {signal.SIGTERM, signal.SIGINT}:
            self._stopping = True
        return self._stopping

    def _save_state(self) -> None:
        engine, *hosts = self._children
        RunState(
            os.getpid(),
            self.engine_url,
            self.api_url,
            {host.name: host.pid for host in hosts},
            engine.pid,
        ).save(self.home)

    # -- stopping --------------------------------------------------------------------------------

    def _stop_all(self) -> None:
        """Hosts first, so that their calls are answered; then the engine."""
        if self._children:
            engine, *hosts = self._children
            self._parting.ready()
            self._stop(hosts)
            self._stop([engine])

    def _stop(self, children: list[Child]) -> None:
        alive = [child for child in children if child.pid]
        for child in alive:
            os.kill(child.pid, signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        while alive and time.monotonic() < deadline:
            alive = [child for child in alive if os.waitpid(child.pid, os.WNOHANG)[0] == 0]
            if alive:
                self._signals.wait(0.2)
        for child in alive:
            self.say(f"{child.name} did not stop in time and is killed")
            os.kill(child.pid, signal.SIGKILL)
            os.waitpid(child.pid, 0)


class Signals:
    """The signals that arrived, readable with a timeout and without a race."""

    def __init__(self) -> None:
        self._read, write = socket.socketpair()
        self._write = write
        self._read.setblocking(False)
        write.setblocking(False)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)
        signal.set_wakeup_fd(write.fileno(), warn_on_full_buffer=False)

    def wait(self, timeout: float) -> set[int]:
        """Signal numbers that came within `timeout` seconds; returns at the first."""
        if not select.select([self._read], [], [], timeout)[0]:
            return set()
        return set(self._read.recv(256))

    def close(self) -> None:
        signal.set_wakeup_fd(-1)
        self._read.close()
        self._write.close()


def check_ports(*urls: str) -> None:
    """Raises `HomeError` when another program listens there: our workers would talk to it."""
    for url in urls:
        port = urllib.parse.urlsplit(url).port or 80
        with socket.socket() as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                trial.bind(("127.0.0.1", port))
            except OSError as error:
                raise HomeError(
                    f"cannot listen on port {port}: {error.strerror}; AGENTOS_ENGINE_PORT and "
                    "AGENTOS_HTTP_PORT choose others"
                ) from error


def is_running(home: Home) -> bool:
    """Whether a supervisor runs from this home. What its files say may be older than its end."""
    try:
        with home.lock_file.open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def take_lock(home: Home) -> IO[str]:
    """One supervisor per home. Raises `HomeError` when another one runs."""
    try:
        lock = home.lock_file.open("a+")
    except OSError as error:
        raise HomeError(f"cannot write {home.lock_file}: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        pid = lock.read().strip()
        lock.close()
        raise HomeError(f"AgentOS already runs from {home.root} (pid {pid})") from None
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    return lock
