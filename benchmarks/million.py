"""A million calls, 128 in flight: every one answered, once. Ends with 1 when that is not so.

`python -m benchmarks.million [CALLS]`
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.echo_worker import ECHO
from benchmarks.load import Plan
from benchmarks.processes import Failed

INFLIGHT = 128


def main(calls: int) -> int:
    with tempfile.TemporaryDirectory(prefix="million-") as folder:
        bench = Bench(Path(folder), runs=1)
        try:
            engine = bench.engine
            plan = Plan(engine.url, ECHO, "100 B", INFLIGHT, engine.program.pid, calls=calls)
            result = bench.load(plan)
        except Failed as problem:
            print(problem, file=sys.stderr)
            return 1
        finally:
            bench.close()
    print(
        f"{result.calls:,} calls, {INFLIGHT} in flight: {result.calls:,} answered, 0 lost, "
        f"0 twice; {result.per_second:,.0f}/s, {result.cpu_us:.2f} µs of engine time each"
    )
    return 0 if result.calls == calls else 1


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000))
