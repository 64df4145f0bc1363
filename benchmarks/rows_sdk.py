"""What a program sees: our SDK beside the published client, both on our engine."""

from __future__ import annotations

from functools import partial

import msgspec
from msgspec import Struct

from benchmarks.bench import Bench
from benchmarks.client import ask, wait_for_function
from benchmarks.load import Outcome, Plan
from benchmarks.report import Row, Target

INFLIGHT = 64
SECONDS = 1.0
PUBLISHED = "published PyPI client"


class Speed(Struct):
    per_second: float


def sdk(bench: Bench) -> list[Row]:
    for name in ("ours", "published"):
        _start_worker(bench, name)
        bench.start(f"benchmarks.sdk_{name}", "caller", bench.engine.url)
        short = {"inflight": 1, "seconds": 0.01}
        wait_for_function(bench.engine.url, f"{name}::drive", short)

    def once(name: str) -> float:
        order = {"inflight": INFLIGHT, "seconds": SECONDS}
        result = ask(bench.engine.url, f"{name}::drive", order)
        return msgspec.json.decode(result, type=Speed).per_second

    ours, baseline = bench.beside(partial(once, "ours"), partial(once, "published"))
    name = f"SDK on both ends, 100 B, {INFLIGHT} in flight"
    target = Target(ratio_at_least=3)
    return [Row("sdk", name, "calls/s", target, ours, baseline, PUBLISHED)]


def realm_get(bench: Bench) -> list[Row]:
    engine = bench.engine
    value = {"name": "acme", "owner": "ada", "status": "active"}
    ask(engine.url, "state::set", {"scope": "bench", "key": "acme", "value": value})
    for name in ("ours", "published"):
        _start_worker(bench, name)

    def once(name: str) -> Outcome:
        return bench.load(Plan(engine.url, f"{name}::get", "key", 16, engine.program.pid))

    ours, baseline = bench.beside(partial(once, "ours"), partial(once, "published"))
    row = Row(
        "realm_get",
        "function of a worker that reads one state key, 16 in flight",
        "calls/s",
        Target(at_least=8_000),
        [run.per_second for run in ours],
        [run.per_second for run in baseline],
        PUBLISHED,
    )
    return [row]


def _start_worker(bench: Bench, name: str) -> None:
    if name not in bench.sdk_workers:
        bench.start(f"benchmarks.sdk_{name}", "worker", bench.engine.url)
        wait_for_function(bench.engine.url, f"{name}::echo", {"text": "hello"})
        bench.sdk_workers.add(name)
