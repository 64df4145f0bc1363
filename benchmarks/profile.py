"""Where the engine spends its time under one row's load: `python -m benchmarks.profile ROW`.

The engine runs under cProfile, which makes Python functions look slower against built-in ones than
they are: read it for the order of things and for call counts, and measure with `make bench`.
"""

from __future__ import annotations

import argparse
import pstats
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import msgspec

from benchmarks.bench import QUEUE, engine_config
from benchmarks.echo_worker import ECHO, PAGE_PATH
from benchmarks.load import Plan
from benchmarks.processes import Program, free_port, module, wait_for_port
from benchmarks.rows_http import CONNECTIONS, wait_for_page
from benchmarks.rows_queue import JOBS

SECONDS = 3

#: Function, payload and calls in flight of the rows that a caller on the bus makes.
LOADS = {
    "call_1": (ECHO, "100 B", 1),
    "call_16": (ECHO, "100 B", 16),
    "call_128": (ECHO, "100 B", 128),
    "call_1024": (ECHO, "100 B", 1024),
    "payload_64k": (ECHO, "64 KiB", 16),
    "payload_1m": (ECHO, "1 MiB", 4),
    "structured": (ECHO, "structured", 16),
    "state_1": ("state::set", "state", 1),
    "state_128": ("state::set", "state", 128),
    "queue_128": (ECHO, "100 B", 128),
}


def run(row: str, folder: Path) -> Path:
    """Put the row's load on a profiled engine; returns the profile it wrote at its end."""
    profile, log = folder / "engine.profile", folder / "programs.log"
    port, http_port = free_port(), free_port()
    config = engine_config(folder / "engine", port, http_port)
    engine_module = ["-o", str(profile), "-m", "iii_engine", "--config", str(config)]
    with ExitStack() as open_programs:
        start = open_programs.enter_context
        engine = start(Program(module("cProfile", *engine_module), log))
        wait_for_port(port, engine)
        url = f"ws://127.0.0.1:{port}/"
        start(Program(module("benchmarks.echo_worker", url), log)).line("ready")
        if row == "http":
            address = f"http://127.0.0.1:{http_port}/{PAGE_PATH}"
            wait_for_page(address)
            own = module("benchmarks.http_load", address, str(CONNECTIONS), str(SECONDS))
            subprocess.run(own, check=True)
        else:
            function, payload, inflight = LOADS[row]
            plan = Plan(url, function, payload, inflight, engine.pid, seconds=SECONDS)
            if row == "queue_128":
                plan.queue, plan.calls = QUEUE, JOBS
            load = module("benchmarks.load", msgspec.json.encode(plan).decode())
            print(start(Program(load, log)).output())
    return profile


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profile", description=__doc__)
    parser.add_argument("row", choices=[*LOADS, "http"])
    parser.add_argument("--sort", default="tottime", help="tottime or cumtime")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="profile-") as folder:
        profile = run(options.row, Path(folder))
        pstats.Stats(str(profile)).strip_dirs().sort_stats(options.sort).print_stats(30)
    return 0


if __name__ == "__main__":
    sys.exit(main())
