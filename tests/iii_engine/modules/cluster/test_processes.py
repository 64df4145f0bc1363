"""Three engines as programs, one of which is killed under load; and clients of every kind."""

from __future__ import annotations

import asyncio
import json
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.iii_engine.modules.cluster.conftest import Joined
from tests.support.engine import EngineProcess
from tests.support.published import node_client, python_client
from tests.support.raw_worker import RawWorker
from tests.support.served import served
from tests.support.servers import NatsServer, free_port
from tests.support.waiting import until

from iii_sdk import Bus, BusError, Worker, connect

CALLERS = 32


@asynccontextmanager
async def three(
    folder: Path, server: NatsServer, queue: str = "{}"
) -> AsyncIterator[list[EngineProcess]]:
    """Engines `a`, `b` and `c`, ready. `queue` is the config of their queues."""
    processes = []
    for name in "abc":
        home = folder / name
        home.mkdir()
        config = f"""
workers:
  - name: iii-worker-manager
    config: {{host: 127.0.0.1, port: {free_port()}}}
  - name: iii-queue
    config: {queue}
  - name: iii-cluster
    config: {{nats_url: "{server.url}", name: {name}, heartbeat_ms: 200, silence_ms: 2500}}
"""
        processes.append(EngineProcess(home, config))
    try:
        for process in processes:
            await asyncio.to_thread(process.start)
        yield processes
    finally:
        for process in processes:
            await asyncio.to_thread(process.close)


def worker_of(name: str) -> Worker:
    worker = Worker(f"worker-{name}")

    @worker.function("where")
    async def where() -> str:
        await asyncio.sleep(0.005)
        return name

    return worker


async def engines_with(bus: Bus, function_id: str) -> set[str]:
    """Of the engines that this one knows, those that have the function."""
    rows = (await bus.call("engine::workers::list", {}))["workers"]
    return {row["name"] for row in rows if function_id in row["functions"]}


class Callers:
    """Call `where` through one engine, many at a time, and count what comes back."""

    def __init__(self, bus: Bus) -> None:
        self.answers: Counter[str] = Counter()
        self._bus = bus
        self._stopping = False

    async def __aenter__(self) -> Counter[str]:
        self._tasks = [asyncio.create_task(self._call_on()) for _ in range(CALLERS)]
        return self.answers

    async def __aexit__(self, *_: object) -> None:
        self._stopping = True
        await asyncio.wait_for(asyncio.gather(*self._tasks), 5)

    async def _call_on(self) -> None:
        while not self._stopping:
            try:
                self.answers[await self._bus.call("where", timeout=20)] += 1
            except BusError as error:
                self.answers[error.code] += 1
                await asyncio.sleep(0)


@pytest.mark.promise(
    "Several engines",
    "When an engine is killed, every call under way there ends with a clear error at once, and the "
    "next ones go to the others.",
)
async def test_kill_9_of_an_engine_leaves_no_caller_without_an_answer(
    tmp_path: Path, nats_server: NatsServer
) -> None:
    async with (
        three(tmp_path, nats_server) as (a, b, c),
        connect(a.url) as bus,
        served_at(b, worker_of("b")),
        served_at(c, worker_of("c")),
    ):
        await until(lambda: _has(bus, {"b", "c"}))
        async with Callers(bus) as answers:
            await until(lambda: answers["b"] > 200 and answers["c"] > 200)
            b.kill()
            before = answers["c"]
            await until(lambda: answers["c"] > before + 500)
            assert set(answers) <= {"b", "c", "invocation_stopped"}
            assert answers["invocation_stopped"] <= CALLERS
            await asyncio.to_thread(b.start)
            back = answers["b"]
            await until(lambda: answers["b"] > back + 100, "b works again")


@pytest.mark.promise(
    "Several engines",
    "When an engine is killed while jobs of a queue run on its workers, the jobs run on the "
    "workers of other engines, be the queue in another engine or in NATS.",
)
@pytest.mark.parametrize("adapter", ["builtin", "nats"])
async def test_kill_9_of_an_engine_loses_no_job(
    tmp_path: Path, nats_server: NatsServer, adapter: str
) -> None:
    where = {"nats_url": nats_server.url, "lease_ms": 1000} if adapter == "nats" else {}
    queue = json.dumps({"adapter": {"name": adapter, "config": where}})
    handled: Counter[int] = Counter()
    workers = []
    for name in "bc":
        worker = worker_of(name)

        @worker.function("work")
        async def work(n: int) -> None:
            await asyncio.sleep(0.005)
            handled[n] += 1

        workers.append(worker)
    async with (
        three(tmp_path, nats_server, queue) as (a, b, c),
        connect(a.url) as bus,
        served_at(b, workers[0]),
        served_at(c, workers[1]),
    ):
        await until(lambda: _has(bus, {"b", "c"}, "work"))
        for n in range(600):
            await bus.enqueue("default", "work", n)
            if n == 200:
                b.kill()
        await until(lambda: len(handled) == 600)
        await until(lambda: _nothing_left(bus))


async def _nothing_left(bus: Bus) -> bool:
    stats = await bus.call("engine::queue::topic_stats", {"topic": "default"})
    return bool(stats["depth"] == 0 and stats["dlq_depth"] == 0)


async def _has(bus: Bus, names: set[str], function_id: str = "where") -> bool:
    return names <= await engines_with(bus, function_id)


async def test_an_engine_that_stands_still_keeps_nobody_waiting(
    tmp_path: Path, nats_server: NatsServer
) -> None:
    async with (
        three(tmp_path, nats_server) as (a, b, c),
        connect(a.url) as bus,
        RawWorker(b.url) as stuck,
    ):
        await stuck.register("where")
        await until(lambda: _has(bus, {"b"}))
        b.signal(signal.SIGSTOP)
        with pytest.raises(BusError) as stopped:
            await bus.call("where", timeout=20)
        assert stopped.value.code == "invocation_stopped"
        async with served_at(c, worker_of("c")):
            await until(lambda: _has(bus, {"c"}))
            assert await bus.call("where") == "c"
        b.signal(signal.SIGCONT)
        await until(lambda: _has(bus, {"b"}), "it is back")


@asynccontextmanager
async def served_at(engine: EngineProcess, worker: Worker) -> AsyncIterator[None]:
    task = asyncio.create_task(worker.serve(engine.url))
    try:
        yield
    finally:
        await worker.stop()
        await task


@pytest.mark.parametrize("make", [python_client, node_client])
async def test_a_published_client_calls_our_function_on_another_engine(
    engines: list[Joined], tmp_path: Path, make: object
) -> None:
    a, b, _ = engines
    assert callable(make)
    client = make(a.url, "theirs", tmp_path)
    prefix = "python" if make is python_client else "node"
    ours = Worker("ours")

    @ours.function("ours::twice")
    async def twice(n: int) -> int:
        return 2 * n

    try:
        async with served(b, ours) as bus:
            await a.knows("ours::twice")
            await b.knows(f"{prefix}::echo")
            answer = await asyncio.to_thread(client.call, "ours::twice", 21)
            assert answer == {"result": 42}
            assert await bus.call(f"{prefix}::echo", ["ä"]) == ["ä"]
    finally:
        assert await asyncio.to_thread(client.close) == 0
