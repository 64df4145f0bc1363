"""Durable writes: what `state::set` acknowledges has been through fsync."""

from __future__ import annotations

from functools import partial

from benchmarks.bench import Bench
from benchmarks.fsync import Disk, measure
from benchmarks.load import Outcome, Plan
from benchmarks.processes import on_one_core
from benchmarks.report import Row, Target

SET = "state::set"


def _set_many(bench: Bench) -> Outcome:
    engine = bench.engine
    return bench.load(Plan(engine.url, SET, "state", 128, engine.program.pid))


def _set_one(bench: Bench) -> Outcome:
    pid = bench.engine.program.pid
    with on_one_core(pid) as core:
        return bench.load(Plan(bench.engine.url, SET, "state", 1, pid, core=core))


def _disk(bench: Bench) -> Disk:
    return measure(bench.folder / "fsync", seconds=1.0)


def state_128(bench: Bench) -> list[Row]:
    ours, disk = bench.beside(partial(_set_many, bench), partial(_disk, bench))
    row = Row(
        "state_128",
        "state::set, durable, 128 in flight",
        "sets/s",
        Target(at_least=40_000),
        [run.per_second for run in ours],
        [run.per_second for run in disk],
        "raw fsync loop, one record each",
    )
    return [row]


def state_1(bench: Bench) -> list[Row]:
    ours, disk = bench.beside(partial(_set_one, bench), partial(_disk, bench))
    row = Row(
        "state_1",
        "state::set, durable, one at a time, on one core: p50",
        "µs",
        Target(above_baseline_at_most=150),
        [run.p50_us for run in ours],
        [run.p50_us for run in disk],
        "raw fsync",
    )
    return [row]
