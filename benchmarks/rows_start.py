"""How soon it is there and how much memory it takes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import msgspec
from msgspec import Struct

from benchmarks.bench import Bench
from benchmarks.client import ask
from benchmarks.processes import (
    Failed,
    Program,
    family,
    free_port,
    memory_kib,
    module,
    wait_for_port,
)
from benchmarks.report import Row, Target

IDLE_SECONDS = 1.0
IDLE_PEERS = 10_000


class BusWorker(Struct):
    name: str | None = None


class BusWorkers(Struct):
    workers: list[BusWorker]


@dataclass
class Start:
    """Milliseconds until it was usable; megabytes once idle."""

    ready_ms: float
    memory_mb: float


def engine_start(bench: Bench) -> list[Row]:
    def engine() -> Start:
        with bench.engine_program(bench.folder / "starting") as (program, _, _, seconds):
            time.sleep(0.3)
            return Start(seconds * 1000, memory_kib(program.pid, "Rss") / 1024)

    def relay() -> Start:
        with Program(module("benchmarks.bare_relay"), bench.log) as program:
            port = int(program.line("listening"))
            seconds = wait_for_port(port, program)
            return Start(seconds * 1000, memory_kib(program.pid, "Rss") / 1024)

    engine()  # the first start compiles and creates the store
    ours, baseline = bench.beside(engine, relay)
    ready = Row(
        "engine_start",
        "engine accepts workers after exec",
        "ms",
        Target(at_most=250),
        [run.ready_ms for run in ours],
        [run.ready_ms for run in baseline],
        "bare relay",
    )
    memory = Row(
        "engine_start",
        "engine memory, RSS",
        "MB",
        Target(at_most=45),
        [run.memory_mb for run in ours],
        [run.memory_mb for run in baseline],
        "bare relay",
    )
    return [ready, memory]


def idle_10k(bench: Bench) -> list[Row]:
    def once() -> float:
        with bench.engine_program(bench.folder / "idle") as (program, port, _, _):
            time.sleep(0.3)
            before = memory_kib(program.pid, "Pss")
            peers = module("benchmarks.peers", str(port), str(IDLE_PEERS))
            with Program(peers, bench.log) as connected:
                connected.line("ready")
                return (memory_kib(program.pid, "Pss") - before) / IDLE_PEERS

    return [
        Row(
            "idle_10k",
            "engine memory for each of 10,000 idle workers",
            "KiB",
            Target(at_most=30),
            bench.repeat(once),
        )
    ]


def tree_start(bench: Bench) -> list[Row]:
    def once() -> Start:
        with _agentos(bench) as (program, url, seconds):
            _check_workers(url)
            time.sleep(IDLE_SECONDS)
            total = sum(memory_kib(pid, "Pss") for pid in family(program.pid))
            return Start(seconds * 1000, total / 1024)

    once()  # the first start makes the home
    runs = bench.repeat(once)
    ready = Row(
        "tree_start",
        "all workers callable after agentos start",
        "ms",
        Target(at_most=800),
        [run.ready_ms for run in runs],
    )
    memory = Row(
        "tree_start",
        "memory of the whole tree, idle, PSS",
        "MB",
        Target(at_most=150),
        [run.memory_mb for run in runs],
    )
    return [ready, memory]


@contextmanager
def _agentos(bench: Bench) -> Iterator[tuple[Program, str, float]]:
    """A system of its own home: supervisor, engine address, seconds until it said it is up."""
    port, http_port = free_port(), free_port()
    env = {
        "AGENTOS_HOME": str(bench.folder / "home"),
        "AGENTOS_ENGINE_PORT": str(port),
        "AGENTOS_HTTP_PORT": str(http_port),
    }
    with Program(module("agentos.cli.main", "start"), bench.log, env) as program:
        program.line("AgentOS is up")
        yield program, f"ws://127.0.0.1:{port}/", time.perf_counter() - program.started


def _check_workers(url: str) -> None:
    """Being up means that every worker of the catalogue is on the bus at that moment."""
    from agentos.host.catalogue import worker_names

    found = msgspec.json.decode(ask(url, "engine::workers::list", {}), type=BusWorkers)
    missing = set(worker_names()) - {worker.name for worker in found.workers}
    if missing:
        raise Failed(f"said it is up without {', '.join(sorted(missing))}")
