"""Durable writes: what `state::set` acknowledges has been through fsync."""

from __future__ import annotations

from functools import partial

from benchmarks.bench import Bench
from benchmarks.fsync import Disk, measure
from benchmarks.load import Outcome, Plan
from benchmarks.report import Row, Target

SET = "state::set"


def _set(bench: Bench, inflight: int) -> Outcome:
    engine = bench.engine
    return bench.load(Plan(engine.url, SET, "state", inflight, engine.program.pid))


def _disk(bench: Bench) -> Disk:
    return measure(bench.folder / "fsync", seconds=1.0)


def state_128(bench: Bench) -> list[Row]:
    ours, disk = bench.beside(partial(_set, bench, 128), partial(_disk, bench))
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
    ours, disk = bench.beside(partial(_set, bench, 1), partial(_disk, bench))
    row = Row(
        "state_1",
        "state::set, durable, one at a time: p50",
        "µs",
        Target(above_baseline_at_most=150),
        [run.p50_us for run in ours],
        [run.p50_us for run in disk],
        "raw fsync",
    )
    return [row]
