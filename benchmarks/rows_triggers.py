"""What triggers cost: a message to a hundred subscribers, and how late a schedule is."""

from __future__ import annotations

import msgspec

from benchmarks.bench import Bench
from benchmarks.listeners import Outcome, Plan
from benchmarks.processes import Failed, Program, module
from benchmarks.report import Row, Target

SUBSCRIBERS = 100
JOBS = 10


def listen(bench: Bench, plan: Plan) -> Outcome:
    """Run the listeners once. Raises `Failed` when a message was lost."""
    arguments = module("benchmarks.listeners", msgspec.json.encode(plan).decode())
    with Program(arguments, bench.log) as program:
        outcome = msgspec.json.decode(program.output(), type=Outcome)
    if outcome.missing or not outcome.deliveries:
        raise Failed(f"{outcome.missing} messages did not reach their listeners")
    return outcome


def pubsub_100(bench: Bench) -> list[Row]:
    entry: dict[str, object] = {"name": "iii-pubsub"}
    with bench.engine_program(bench.folder / "pubsub", entry) as (_, port, _, _):
        url = f"ws://127.0.0.1:{port}/"
        runs = bench.repeat(lambda: listen(bench, Plan(url, SUBSCRIBERS, "bench")))
    name = "publish, 8 in flight, to functions of 100 workers, each of which answers"
    return [
        Row("pubsub_100", name, "deliveries/s", Target(), [run.per_second for run in runs]),
    ]


def cron_drift(bench: Bench) -> list[Row]:
    entry: dict[str, object] = {"name": "iii-cron"}
    with bench.engine_program(bench.folder / "cron", entry) as (_, port, _, _):
        url = f"ws://127.0.0.1:{port}/"
        plan = Plan(url, JOBS, warmup=0.0, seconds=3.2)
        runs = bench.repeat(lambda: listen(bench, plan))
    name = f"cron, {JOBS} jobs each second: from when it is due to its worker, p99"
    return [
        Row("cron_drift", name, "ms", Target(at_most=20), [run.p99_us / 1e3 for run in runs]),
    ]
