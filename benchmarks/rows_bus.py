"""Calls over the bus: caller, system and worker are three processes."""

from __future__ import annotations

from functools import partial

from benchmarks.bench import Bench, System
from benchmarks.echo_worker import ECHO
from benchmarks.load import Outcome, Plan
from benchmarks.processes import on_one_core
from benchmarks.report import Row, Target


def _measure(
    bench: Bench, inflight: int, payload: str, baseline: System | None = None
) -> tuple[list[Outcome], list[Outcome]]:
    """The engine beside the bare relay, or another baseline."""

    def once(system: System) -> Outcome:
        pid = system.program.pid
        return bench.load(Plan(system.url, ECHO, payload, inflight, pid))

    return bench.beside(partial(once, bench.engine), partial(once, baseline or bench.relay))


def call_1(bench: Bench) -> list[Row]:
    def once(system: System) -> Outcome:
        pid = system.program.pid
        with on_one_core(pid, system.worker.pid) as core:
            return bench.load(Plan(system.url, ECHO, "100 B", 1, pid, core=core))

    ours, baseline = bench.beside(partial(once, bench.engine), partial(once, bench.relay))
    median = Row(
        "call_1",
        "call, 100 B, one at a time, on one core: p50",
        "µs",
        Target(ratio_at_most=1.4),
        [run.p50_us for run in ours],
        [run.p50_us for run in baseline],
        "bare relay",
    )
    tail = Row(
        "call_1",
        "call, 100 B, one at a time, on one core: p99",
        "µs",
        Target(at_most=500),
        [run.p99_us for run in ours],
        [run.p99_us for run in baseline],
        "bare relay",
    )
    return [median, tail]


def call_16(bench: Bench) -> list[Row]:
    return [_processor_time(bench, "call_16", 16, Target(ratio_at_most=1.8))]


def call_128(bench: Bench) -> list[Row]:
    target = Target(at_least=45_000, ratio_at_least=0.75)
    return [_throughput(bench, "call_128", "call, 100 B, 128 in flight", 128, "100 B", target)]


def call_1024(bench: Bench) -> list[Row]:
    return [_processor_time(bench, "call_1024", 1024, Target(at_most=8))]


def tracing(bench: Bench) -> list[Row]:
    """What it costs to record every call, as all other rows do."""
    target = Target(ratio_at_most=1.15)
    row = _processor_time(bench, "tracing", 128, target, bench.untraced)
    row.name += ", every call recorded"
    row.baseline_name = "the same engine with tracing off"
    return [row]


def payload_64k(bench: Bench) -> list[Row]:
    target = Target(ratio_at_least=0.9)
    return [_throughput(bench, "payload_64k", "call, 64 KiB, 16 in flight", 16, "64 KiB", target)]


def payload_1m(bench: Bench) -> list[Row]:
    target = Target(ratio_at_least=0.9)
    return [_throughput(bench, "payload_1m", "call, 1 MiB, 4 in flight", 4, "1 MiB", target)]


def structured(bench: Bench) -> list[Row]:
    target = Target(ratio_at_least=0.9)
    name = "call, 50 KB of structured JSON, 16 in flight"
    return [_throughput(bench, "structured", name, 16, "structured", target)]


def _throughput(
    bench: Bench, key: str, name: str, inflight: int, payload: str, target: Target
) -> Row:
    ours, baseline = _measure(bench, inflight, payload)
    return Row(
        key,
        name,
        "calls/s",
        target,
        [run.per_second for run in ours],
        [run.per_second for run in baseline],
        "bare relay",
    )


def _processor_time(
    bench: Bench, key: str, inflight: int, target: Target, untraced: System | None = None
) -> Row:
    ours, baseline = _measure(bench, inflight, "100 B", untraced)
    return Row(
        key,
        f"call, 100 B, {inflight:,} in flight: engine processor time",
        "µs/call",
        target,
        [run.cpu_us for run in ours],
        [run.cpu_us for run in baseline],
        "bare relay",
    )
