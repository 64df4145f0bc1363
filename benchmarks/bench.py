"""What the rows share: the systems under test, started when first asked for, and repeated runs."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import msgspec

from benchmarks.load import Outcome, Plan
from benchmarks.processes import Failed, Program, free_port, module, wait_for_port

#: The queue that every measured engine has.
QUEUE = "bench"

A = TypeVar("A")
B = TypeVar("B")


@dataclass
class System:
    """Something that speaks the worker protocol, with an echo worker connected to it."""

    program: Program
    worker: Program
    port: int
    http_port: int

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/"


def engine_config(folder: Path, port: int, http_port: int, *more: dict[str, object]) -> Path:
    """A configuration file with what every measurement has on: tracing, metrics, durable state.

    `more` are entries of further modules.
    """
    state = {"store_method": "file_based", "file_path": str(folder / "state")}
    queue, jobs = {"name": "builtin", "config": state}, {"concurrency": 128}
    document = {
        "workers": [
            {"name": "iii-worker-manager", "config": {"host": "127.0.0.1", "port": port}},
            {"name": "iii-http", "config": {"host": "127.0.0.1", "port": http_port}},
            {"name": "iii-state", "config": {"adapter": {"name": "kv", "config": state}}},
            *more,
            {"name": "iii-queue", "config": {"adapter": queue, "queue_configs": {QUEUE: jobs}}},
        ]
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "config.yaml"
    path.write_text(json.dumps(document))  # JSON is YAML
    return path


class Bench:
    """`folder` holds logs and data; `runs` is how often each row is measured."""

    def __init__(self, folder: Path, runs: int) -> None:
        self.folder = folder
        self.runs = runs
        self.log = folder / "programs.log"
        self.sdk_workers: set[str] = set()  # libraries whose worker runs
        self._open = ExitStack()

    def close(self) -> None:
        self._open.close()

    # -- systems ---------------------------------------------------------------------------------

    def start(self, *arguments: str) -> Program:
        """One of our modules, ended with the bench."""
        return self._open.enter_context(Program(module(*arguments), self.log))

    @contextmanager
    def engine_program(
        self, folder: Path, *more: dict[str, object]
    ) -> Iterator[tuple[Program, int, int, float]]:
        """A new engine: program, port, HTTP port, seconds until it accepted.

        `more` are entries of further modules.
        """
        port, http_port = free_port(), free_port()
        config = engine_config(folder, port, http_port, *more)
        arguments = module("iii_engine", "--config", str(config))
        with Program(arguments, self.log) as program:
            seconds = wait_for_port(port, program)
            yield program, port, http_port, seconds

    @cached_property
    def engine(self) -> System:
        program, port, http_port, _ = self._open.enter_context(
            self.engine_program(self.folder / "engine")
        )
        return System(program, self._echo_worker(port), port, http_port)

    @cached_property
    def untraced(self) -> System:
        """An engine that records nothing about its calls."""
        quiet: dict[str, object] = {"enabled": False, "metrics_enabled": False}
        program, port, http_port, _ = self._open.enter_context(
            self.engine_program(
                self.folder / "untraced", {"name": "iii-observability", "config": quiet}
            )
        )
        return System(program, self._echo_worker(port), port, http_port)

    @cached_property
    def relay(self) -> System:
        program = self.start("benchmarks.bare_http")
        port, http_port = map(int, program.line("listening").split())
        return System(program, self._echo_worker(port), port, http_port)

    def _echo_worker(self, port: int) -> Program:
        worker = self.start("benchmarks.echo_worker", f"ws://127.0.0.1:{port}/")
        worker.line("ready")
        return worker

    # -- runs ------------------------------------------------------------------------------------

    def load(
        self,
        plan: Plan,
        meanwhile: Callable[[Program], AbstractContextManager[object]] = nullcontext,
    ) -> Outcome:
        """Run the caller once. Raises `Failed` when a call was lost, doubled or refused.

        `meanwhile` is given the caller, and does something to it until it has ended.
        """
        arguments = module("benchmarks.load", msgspec.json.encode(plan).decode())
        with Program(arguments, self.log) as caller, meanwhile(caller):
            result = msgspec.json.decode(caller.output(), type=Outcome)
        if result.errors or result.lost or result.unexpected:
            raise Failed(
                f"{plan.function}: {result.errors} errors, {result.lost} lost, "
                f"{result.unexpected} unexpected. {result.first_error}"
            )
        return result

    def repeat(self, once: Callable[[], A]) -> list[A]:
        """Measure `runs` times."""
        return self.beside(once, lambda: None)[0]

    def beside(self, ours: Callable[[], A], baseline: Callable[[], B]) -> tuple[list[A], list[B]]:
        """Both `runs` times in turn, so that a change of the machine's speed meets both alike."""
        results: list[tuple[A, B]] = []
        for _ in range(self.runs):
            results.append((ours(), baseline()))
            print(".", end="", file=sys.stderr, flush=True)
        return [pair[0] for pair in results], [pair[1] for pair in results]
