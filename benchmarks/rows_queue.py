"""Durable jobs: each is on disk before its receipt, and deleted from it after its end."""

from __future__ import annotations

from functools import partial

from benchmarks.bench import QUEUE, Bench
from benchmarks.echo_worker import ECHO
from benchmarks.fsync import Disk, measure
from benchmarks.load import Outcome, Plan
from benchmarks.report import Row, Target

JOBS = 30_000


def _jobs(bench: Bench) -> Outcome:
    engine = bench.engine
    return bench.load(
        Plan(engine.url, ECHO, "100 B", 128, engine.program.pid, calls=JOBS, queue=QUEUE)
    )


def _disk(bench: Bench) -> Disk:
    return measure(bench.folder / "fsync", seconds=1.0)


def queue_128(bench: Bench) -> list[Row]:
    ours, disk = bench.beside(partial(_jobs, bench), partial(_disk, bench))
    row = Row(
        "queue_128",
        "enqueue, durable, handled by a worker, acknowledged; 128 in flight",
        "jobs/s",
        Target(at_least=12_000),
        [run.per_second for run in ours],
        [run.per_second for run in disk],
        "raw fsync loop, one record each",
    )
    return [row]
