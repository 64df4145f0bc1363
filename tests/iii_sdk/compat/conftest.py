"""Instances on a real engine that runs as a program, so that a test may block."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.engine import EngineProcess
from tests.support.waiting import PATIENCE, until_sync

from iii_sdk import III, IIIInvocationError


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An engine for all tests of a file; each test uses ids of its own."""
    process = EngineProcess(tmp_path_factory.mktemp("engine"))
    process.start()
    yield process.url
    process.close()


@pytest.fixture
def make() -> Iterator[Callable[..., III]]:
    """Makes instances; at the end of the test they are shut down."""
    made: list[III] = []

    def start(address: str, *arguments: Any, **options: Any) -> III:
        iii = III(address, *arguments, **options)
        made.append(iii)
        return iii

    yield start
    for iii in made:
        iii.shutdown()


@pytest.fixture
def iii(url: str, make: Callable[..., III]) -> III:
    """An instance that is connected."""
    iii = make(url, worker_name="test")
    assert iii.wait_connected(PATIENCE)
    return iii


class Program:
    """A Python program as a process of its own."""

    def __init__(self, source: str, folder: Path, url: str) -> None:
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("III_", "OTEL_"))}
        path = folder / "program.py"
        path.write_text(source)
        self.process = subprocess.Popen(
            [sys.executable, "-u", str(path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=folder,
            env={**environment, "III_URL": url},
        )
        self._lines: queue.Queue[str] = queue.Queue()
        self.errors = ""
        self._readers = [threading.Thread(target=work) for work in (self._read, self._read_errors)]
        for reader in self._readers:
            reader.start()

    def line(self) -> str:
        """The next line of its output."""
        return self._lines.get(timeout=PATIENCE)

    def end(self, number: signal.Signals | None = None, within: float = 3.0) -> int:
        """Send it a signal, if one is given, and wait; the exit code."""
        if number is not None:
            self.process.send_signal(number)
        return self.process.wait(within)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for reader in self._readers:
            reader.join()
        for pipe in (self.process.stdout, self.process.stderr):
            assert pipe is not None
            pipe.close()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line.rstrip("\n"))

    def _read_errors(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.errors += line


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable[[str, str], Program]]:
    """Runs programs; what still runs at the end of the test is killed."""
    programs: list[Program] = []

    def start(source: str, url: str) -> Program:
        programs.append(Program(source, tmp_path, url))
        return programs[-1]

    yield start
    for program in programs:
        program.close()


@pytest.fixture
def answered() -> Callable[..., Any]:
    """Calls until somebody offers the function."""

    def call(iii: III, function_id: str, data: Any = None) -> Any:
        answers: list[Any] = []

        def ask() -> bool:
            try:
                answers.append(iii.trigger(function_id, data).result(PATIENCE))
            except IIIInvocationError as error:
                if error.code not in ("function_not_found", "connection_lost"):
                    raise
            return bool(answers)

        until_sync(ask, f"{function_id} answers")
        return answers[0]

    return call
