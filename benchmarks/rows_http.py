"""HTTP requests that become calls of a function in a worker."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from functools import partial

from benchmarks.bench import Bench, System
from benchmarks.echo_worker import PAGE_PATH
from benchmarks.processes import PATIENCE, Failed, Program, module
from benchmarks.report import Row, Target

CONNECTIONS = 64
SECONDS = 2


def http(bench: Bench) -> list[Row]:
    wrk = shutil.which("wrk")
    for system in (bench.engine, bench.relay):
        wait_for_page(_address(system))

    def once(system: System) -> float:
        address = _address(system)
        return _wrk(wrk, address) if wrk else _own_load(bench, address)

    ours, baseline = bench.beside(partial(once, bench.engine), partial(once, bench.relay))
    row = Row(
        "http",
        f"HTTP to a function in a worker, {CONNECTIONS} connections",
        "requests/s",
        Target(at_least=25_000, ratio_at_least=0.42),
        ours,
        baseline,
        "bare httptools responder → relay",
        note="" if wrk else "measured by our own load generator, because wrk is not installed",
    )
    return [row]


def _address(system: System) -> str:
    return f"http://127.0.0.1:{system.http_port}/{PAGE_PATH}"


def wait_for_page(address: str) -> None:
    """The route exists a moment after the worker asked for it."""
    deadline = time.monotonic() + PATIENCE
    problem = ""
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(address, timeout=2) as response:
                if b"Hello" in response.read():
                    return
                problem = "another page"
        except (OSError, urllib.error.URLError) as error:
            problem = str(error)
        time.sleep(0.05)
    raise Failed(f"{address}: {problem}")


def _wrk(wrk: str, address: str) -> float:
    command = [wrk, "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", address]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = re.search(r"Requests/sec:\s+([\d.]+)", output)
    if found is None or "Non-2xx" in output or "Socket errors" in output:
        raise Failed(f"wrk: {output}")
    return float(found[1])


def _own_load(bench: Bench, address: str) -> float:
    arguments = module("benchmarks.http_load", address, str(CONNECTIONS), str(SECONDS))
    with Program(arguments, bench.log) as load:
        return float(load.output())
