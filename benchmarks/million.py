"""A million calls, 128 in flight: every one answered, once. Ends with 1 when that is not so.

Then calls of all sizes, while the engine, the worker and the caller stand still at random moments.

`python -m benchmarks.million [CALLS [DISTURBED]]`
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.echo_worker import ECHO
from benchmarks.load import Outcome, Plan
from benchmarks.processes import Failed
from benchmarks.stopping import stopped_at_times

INFLIGHT = 128


def main(calls: int = 1_000_000, disturbed: int = 100_000) -> int:
    with tempfile.TemporaryDirectory(prefix="million-") as folder:
        bench = Bench(Path(folder), runs=1)
        try:
            engine = bench.engine
            pid = engine.program.pid
            result = bench.load(Plan(engine.url, ECHO, "100 B", INFLIGHT, pid, calls=calls))
            tell(result, "100 B")
            if result.calls != calls:
                return 1
            plan = Plan(engine.url, ECHO, "mixed", INFLIGHT, pid, calls=disturbed)
            others = [engine.program, engine.worker]
            result = bench.load(plan, lambda caller: stopped_at_times([*others, caller]))
            tell(result, "100 B to 1 MiB, all stopped at times")
        except Failed as problem:
            print(problem, file=sys.stderr)
            return 1
        finally:
            bench.close()
    return 0 if result.calls == disturbed else 1


def tell(result: Outcome, what: str) -> None:
    print(
        f"{result.calls:,} calls, {what}, {INFLIGHT} in flight: {result.calls:,} answered, 0 lost, "
        f"0 twice; {result.per_second:,.0f}/s, {result.cpu_us:.2f} µs of engine time each",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
