"""Measure the rows asked for, print them as a table and write them as JSON."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks import (
    report,
    rows_bus,
    rows_http,
    rows_queue,
    rows_sdk,
    rows_start,
    rows_state,
    rows_streams,
    rows_triggers,
)
from benchmarks.bench import Bench
from benchmarks.processes import Failed
from benchmarks.reasons import explain
from benchmarks.report import Row, Target

RESULTS = Path(__file__).resolve().parent / "results"

ROWS: dict[str, Callable[[Bench], list[Row]]] = {
    "call_1": rows_bus.call_1,
    "call_16": rows_bus.call_16,
    "call_128": rows_bus.call_128,
    "call_1024": rows_bus.call_1024,
    "tracing": rows_bus.tracing,
    "payload_64k": rows_bus.payload_64k,
    "payload_1m": rows_bus.payload_1m,
    "structured": rows_bus.structured,
    "sdk": rows_sdk.sdk,
    "http": rows_http.http,
    "state_128": rows_state.state_128,
    "state_1": rows_state.state_1,
    "stream_100": rows_streams.stream_100,
    "queue_128": rows_queue.queue_128,
    "pubsub_100": rows_triggers.pubsub_100,
    "cron_drift": rows_triggers.cron_drift,
    "realm_get": rows_sdk.realm_get,
    "engine_start": rows_start.engine_start,
    "idle_10k": rows_start.idle_10k,
    "tree_start": rows_start.tree_start,
}


def main() -> int:
    options = arguments()
    if options.list:
        print("\n".join(ROWS))
        return 0
    RESULTS.mkdir(exist_ok=True)
    # Beside the results, not in the temporary folder, which may be held in memory.
    folder = Path(tempfile.mkdtemp(prefix="run-", dir=RESULTS))
    bench = Bench(folder, options.runs)
    rows: list[Row] = []
    failed = False
    try:
        for key in options.rows or ROWS:
            found = measure(key, bench)
            failed = failed or any(row.problem for row in found)
            rows += found
    finally:
        bench.close()
        if failed:
            print(f"logs are kept in {folder}", file=sys.stderr)
        else:
            shutil.rmtree(folder)
    explain(rows)
    print(report.table(rows))
    path = options.output
    report.save(rows, path, options.runs)
    path.with_suffix(".md").write_text(report.table(rows) + "\n", encoding="utf-8")
    print(f"\nwritten to {os.path.relpath(path)}", file=sys.stderr)
    return 1 if failed else 0


def measure(key: str, bench: Bench) -> list[Row]:
    """The rows of a key; a row that says why, when it cannot be measured."""
    began = time.monotonic()
    print(f"{key:13}", end="", file=sys.stderr, flush=True)
    try:
        rows = ROWS[key](bench)
    except Failed as problem:
        rows = [Row(key, key, "", Target(), problem=str(problem))]
        print(f" {problem}", end="", file=sys.stderr)
    print(f" {time.monotonic() - began:.1f} s", file=sys.stderr)
    return rows


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="ROW", help="measure these only")
    parser.add_argument("--runs", type=int, default=5, help="runs of each row (default 5)")
    parser.add_argument("--list", action="store_true", help="name the rows")
    parser.add_argument(
        "--output", type=Path, default=RESULTS / "latest.json", help="where the JSON goes"
    )
    options = parser.parse_args()
    unknown = set(options.rows) - set(ROWS)
    if unknown:
        parser.error(f"no row {', '.join(sorted(unknown))}; there are {', '.join(ROWS)}")
    return options


if __name__ == "__main__":
    sys.exit(main())
