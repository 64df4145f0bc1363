"""Child processes: a host forked from this warm process, the engine as a program of its own."""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from agentos.host.catalogue import load_worker
from agentos.host.log_file import open_log
from agentos.host.parting import Parting
from agentos.kernel.draining import DRAIN_SECONDS, DrainingWorker
from iii_sdk import Worker
from iii_sdk.program import loop_factory

PR_SET_PDEATHSIG = 1

#: How long calls may take that still run when all work is over, in seconds.
REST_SECONDS = 2.0

log = logging.getLogger("agentos.host")


def start_engine(config: Path, log_file: Path) -> int:
    """Start the engine; returns its process id. Its output goes to the log file."""
    command = [sys.executable, "-m", "iii_engine", "--config", str(config)]
    pid = os.fork()
    if pid:
        return pid
    try:
        _become_child(log_file)
        os.execv(command[0], command)
    finally:
        os._exit(127)


def fork_host(
    workers: Sequence[str],
    url: str,
    log_file: Path,
    go: int | None = None,
    ready: int | None = None,
    close: Sequence[int] = (),
    *,
    parting: Parting,
) -> int:
    """Fork a host that runs these workers; returns its process id.

    The child imports its workers at once, waits for end-of-file on `go`, connects, and closes
    `ready` when all its workers are on the bus. `close` are the parent's ends of the pipes.
    """
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        for descriptor in close:
            os.close(descriptor)
        _become_child(log_file)
        logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s")
        _run_host(workers, url, go, ready, parting)
        status = 0
    except BaseException:  # noqa: BLE001 - a forked child never returns into its parent's code
        traceback.print_exc()
    finally:
        # Not sys.exit: the child must not run what the supervisor registered for its own end.
        sys.stderr.flush()
        os._exit(status)


def _become_child(log_file: Path) -> None:
    """Own session, default signals, output to the log file, and an end when the parent ends."""
    os.setsid()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    output = open_log(log_file)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)


def _run_host(
    workers: Sequence[str], url: str, go: int | None, ready: int | None, parting: Parting
) -> None:
    loaded = [load_worker(name) for name in workers]
    if go is not None:
        os.read(go, 1)
        os.close(go)
    serving = serve_all(loaded, url, lambda: None if ready is None else os.close(ready), parting)
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(serving)


async def serve_all(
    workers: Sequence[Worker], url: str, on_ready: Callable[[], None], parting: Parting
) -> None:
    """Serve workers until a signal says stop; then let their running calls finish.

    Workers that drain stop first, those of all hosts: what they have begun may need the others.
    `on_ready` is called once, when all are on the bus. A worker that fails ends them all: the
    supervisor starts the host again.
    """
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    missing = set(workers)

    def one_is_up(worker: Worker) -> None:
        missing.discard(worker)
        if not missing:
            on_ready()

    async with asyncio.TaskGroup() as group:
        for worker in workers:
            group.create_task(worker.serve(url, ready=partial(one_is_up, worker)))
        await stop.wait()
        draining = [worker for worker in workers if isinstance(worker, DrainingWorker)]
        await asyncio.gather(*(worker.stop(DRAIN_SECONDS) for worker in draining))
        if not await parting.everybody(DRAIN_SECONDS + 1):
            log.warning("another host has not ended its work in time")
        others = [worker for worker in workers if worker not in draining]
        await asyncio.gather(*(worker.stop(REST_SECONDS) for worker in others))
