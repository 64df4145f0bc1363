"""Start, watch and end the programs under test; read what the kernel says about them."""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 20.0


class Failed(Exception):
    """A program under test did not do what it was started for."""


def _environment(more: Mapping[str, str]) -> dict[str, str]:
    """What programs are started with. Python may keep bytecode, as it does where people work."""
    inherited = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    return {**inherited, **more}


class Program:
    """One of our modules as a child process, its errors in a log. Leaving the context ends it."""

    def __init__(
        self, arguments: Sequence[str], log: Path, env: Mapping[str, str] | None = None
    ) -> None:
        self.log = log
        self.name = arguments[2]
        self.started = time.perf_counter()
        with log.open("ab") as errors:
            self._child = subprocess.Popen(
                arguments,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                cwd=ROOT,
                env=_environment(env or {}),
            )
        self.pid = self._child.pid

    def line(self, marker: str) -> str:
        """Wait for an output line that contains the marker; returns what follows it there."""
        output = self._child.stdout
        assert output is not None
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if not select.select([output], [], [], 0.1)[0]:
                continue
            text = output.readline().decode(errors="replace")
            if marker in text:
                return text.partition(marker)[2].strip()
            if not text:
                break
        raise Failed(f"{self.name} did not print {marker!r}: {self.last_words()}")

    def output(self, timeout: float = 120.0) -> str:
        """Everything it prints until it ends, which it must do with success."""
        try:
            text, _ = self._child.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            self.end()
            raise Failed(f"{self.name} did not end: {self.last_words()}") from None
        if self._child.returncode != 0:
            raise Failed(f"{self.name} ended with {self._child.returncode}: {self.last_words()}")
        return text.decode()

    def last_words(self) -> str:
        """The end of the log, which usually says what went wrong."""
        lines = self.log.read_text(errors="replace").split("\n")
        silence = f"no message, exit code {self._child.poll()}"
        return next((line.strip() for line in reversed(lines) if line.strip()), silence)

    def ended(self) -> bool:
        return self._child.poll() is not None

    def signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        self._child.send_signal(number)

    def end(self) -> None:
        if self._child.poll() is None:
            self._child.terminate()
            try:
                self._child.wait(10)
            except subprocess.TimeoutExpired:
                self._child.kill()
                self._child.wait()
        if self._child.stdout is not None:
            self._child.stdout.close()

    def __enter__(self) -> Program:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()


def module(name: str, *arguments: str) -> list[str]:
    """The command line of one of our modules."""
    return [sys.executable, "-m", name, *arguments]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for_port(port: int, program: Program) -> float:
    """Seconds from the start of the program until it accepted a connection."""
    while time.perf_counter() - program.started < PATIENCE:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return time.perf_counter() - program.started
        if program.ended():
            raise Failed(f"{program.name} ended early: {program.last_words()}")
        time.sleep(0.001)
    raise Failed(f"{program.name} does not listen: {program.last_words()}")


def cpu_ns(pid: int) -> int:
    """Processor time of all threads of a process so far."""
    total = 0
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            total += int((task / "schedstat").read_text().split()[0])
    except FileNotFoundError:  # a kernel without schedstat counts in clock ticks
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total = (int(fields[11]) + int(fields[12])) * 1_000_000_000 // os.sysconf("SC_CLK_TCK")
    return total


def pin(pid: int, cores: set[int]) -> None:
    """Keep all threads of a process on these cores, where the system can do that."""
    if hasattr(os, "sched_setaffinity"):
        for task in Path(f"/proc/{pid}/task").iterdir():
            os.sched_setaffinity(int(task.name), cores)


@contextmanager
def on_one_core(*pids: int) -> Iterator[int]:
    """Keep these processes on one core meanwhile, which is given.

    A single call wakes several processes in turn; which of them share a core doubles its time or
    halves it, and the scheduler decides that anew in each run. On one core the time of a call is
    the work of all, without the time that an idle core takes to wake.
    """
    cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else {0}
    for pid in pids:
        pin(pid, {min(cores)})
    try:
        yield min(cores)
    finally:
        for pid in pids:
            pin(pid, cores)


def memory_kib(pid: int, field: str) -> int:
    """`Rss` or `Pss` of a process."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1])
    raise Failed(f"the kernel does not tell {field} of {pid}")


def family(pid: int) -> list[int]:
    """A process and all its descendants."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                children.setdefault(int(fields[1]), []).append(int(entry.name))
    found = [pid]
    for member in found:
        found += children.get(member, [])
    return found
