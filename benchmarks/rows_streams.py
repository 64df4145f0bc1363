"""One durable `stream::set`, told to a hundred sockets."""

from __future__ import annotations

import msgspec

from benchmarks.bench import Bench, engine_config
from benchmarks.fsync import Disk, measure
from benchmarks.processes import Failed, Program, free_port, module, wait_for_port
from benchmarks.report import Row, Target
from benchmarks.watchers import Outcome, Plan

WATCHERS = 100


def stream_100(bench: Bench) -> list[Row]:
    port, stream_port = free_port(), free_port()
    stream: dict[str, object] = {
        "name": "iii-stream",
        "config": {"host": "127.0.0.1", "port": stream_port},
    }
    config = engine_config(bench.folder / "streams", port, free_port(), stream)
    with (
        Program(module("iii_engine", "--config", str(config)), bench.log) as engine,
        Program(module("benchmarks.bare_fanout"), bench.log) as bare,
    ):
        wait_for_port(port, engine)
        bare_port = int(bare.line("listening"))

        def ours(inflight: int) -> Outcome:
            return watch(bench, engine, port, stream_port, inflight)

        def least(inflight: int) -> Outcome:
            return watch(bench, bare, bare_port, bare_port, inflight)

        many, bare_many = bench.beside(lambda: ours(8), lambda: least(8))
        one, bare_one = bench.beside(lambda: ours(1), lambda: (least(1), disk(bench)))
    told = Row(
        "stream_100",
        "stream::set, durable, 8 in flight, to 100 sockets",
        "messages/s",
        Target(ratio_at_least=0.7),
        [run.per_second for run in many],
        [run.per_second for run in bare_many],
        "bare fan-out, no store",
    )
    delay = Row(
        "stream_100_p50",
        "the same, one at a time, until a socket has it: p50",
        "µs",
        Target(above_baseline_at_most=500),
        [run.p50_us for run in one],
        [run.p50_us + sync.p50_us for run, sync in bare_one],
        "bare fan-out + raw fsync",
    )
    return [told, delay]


def disk(bench: Bench) -> Disk:
    return measure(bench.folder / "fsync", seconds=0.5)


def watch(bench: Bench, system: Program, port: int, stream_port: int, inflight: int) -> Outcome:
    """Run changer and watchers once. Raises `Failed` when a message was lost."""
    plan = Plan(
        f"ws://127.0.0.1:{port}/",
        f"ws://127.0.0.1:{stream_port}",
        WATCHERS,
        inflight,
        system.pid,
        paced=inflight == 1,
    )
    arguments = module("benchmarks.watchers", msgspec.json.encode(plan).decode())
    with Program(arguments, bench.log) as program:
        outcome = msgspec.json.decode(program.output(), type=Outcome)
    if outcome.missing:
        raise Failed(f"{outcome.missing} messages did not reach their watchers")
    return outcome
