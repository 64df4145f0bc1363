"""An engine that keeps records, streams and queues for another one, killed while that one uses it.

Calls under way at that moment fail, and their callers do not know what became of them. All else is
there, the other engine goes on by itself, and nobody hears of anything twice.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.engine import EngineProcess, RunningEngine
from tests.support.raw_worker import CallFailed, RawWorker
from tests.support.stream_client import StreamClient
from tests.support.waiting import until

ROUNDS = int(os.environ.get("CRASH_ROUNDS", "3"))
GROUP = {"stream_name": "s", "group_id": "g"}


class Writer:
    """Makes changes number 0, 1, 2, …, one at a time; keeps which were acknowledged."""

    def __init__(self, kind: str) -> None:
        self.acknowledged: set[int] = set()
        self.unknown: set[int] = set()
        self._kind = kind
        self._stopped = False

    def stop(self) -> None:
        self._stopped = True

    async def run(self, worker: RawWorker) -> None:
        number = 0
        while not self._stopped:
            function_id, data, action = self._change(number)
            try:
                await worker.call(function_id, data, action=action)
                self.acknowledged.add(number)
            except CallFailed as error:
                if error.code not in ("bridge_error", "enqueue_error"):
                    raise
                self.unknown.add(number)
            number += 1

    def _change(self, number: int) -> tuple[str, Any, Any]:
        """Function, payload and action."""
        match self._kind:
            case "record":
                return "state::set", {"scope": "s", "key": str(number), "value": number}, None
            case "count":
                ops = [{"type": "increment", "path": "n", "by": 1}]
                return "state::update", {"scope": "n", "key": "n", "ops": ops}, None
            case "item":
                return "stream::set", {**GROUP, "item_id": str(number), "data": number}, None
            case "message":
                return "iii::durable::publish", {"topic": "t", "data": number}, None
        return "job", number, {"type": "enqueue", "queue": "default"}

    def check(self, found: set[int]) -> None:
        """All that was acknowledged, and besides it only what was under way at a kill."""
        assert self.acknowledged <= found <= self.acknowledged | self.unknown, self._kind

    def check_all(self) -> None:
        """It went on after each kill, and lost no call but those under way."""
        assert len(self.acknowledged) > ROUNDS, self._kind
        assert len(self.unknown) <= ROUNDS, self._kind


class Heard:
    """What functions and a client of the engine near by heard, by how often."""

    def __init__(self, engine: RunningEngine) -> None:
        self.all: dict[str, Counter[int]] = {}
        for function_id in ("record", "message", "job"):
            self._count(engine, function_id)
        self.created: Counter[int] = Counter()
        self.shown: set[int] = set()
        self.syncs = 0

    def _count(self, engine: RunningEngine, function_id: str) -> None:
        counter = self.all[function_id] = Counter()

        def handle(call: Any) -> None:
            data = json.loads(bytes(call.data))
            counter[data["new_value"] if isinstance(data, dict) else data] += 1
            call.reply(b"null")

        engine.core.add_function(function_id, handle, module="test")

    async def follow(self, client: StreamClient) -> None:
        """Keep what a page would show that watches the group."""
        async for frame in client.socket:
            event = json.loads(frame)["event"]
            if event["type"] == "sync":
                self.shown = set(event["data"])
                self.syncs += 1
            else:
                assert event["type"] == "create"
                self.created[event["data"]] += 1
                self.shown.add(event["data"])


@pytest.fixture
def home(tmp_path: Path) -> Iterator[EngineProcess]:
    engine = EngineProcess(tmp_path)
    engine.start()
    yield engine
    engine.close()


@pytest.fixture
async def near(
    home: EngineProcess, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[RunningEngine]:
    monkeypatch.setattr("iii_engine.modules.bridge.link.FIRST_PAUSE", 0.05)
    adapter = {"adapter": {"name": "bridge", "config": {"bridge_url": home.url}}}
    engine = RunningEngine(dict.fromkeys(("iii-state", "iii-stream", "iii-queue"), adapter))
    await engine.start()
    yield engine
    await engine.stop()


@pytest.mark.promise(
    "Bridge",
    "`kill -9` of the engine that keeps records, streams and queues for others loses nothing that "
    "was acknowledged, and nobody hears of a change twice.",
)
@pytest.mark.timeout(60 + 15 * ROUNDS)
async def test_kill_9_of_the_engine_behind_a_bridge_loses_nothing(
    home: EngineProcess, near: RunningEngine
) -> None:
    kinds = ("record", "count", "item", "message", "job")
    writers = {kind: Writer(kind) for kind in kinds}
    heard = Heard(near)
    async with RawWorker(near.url) as worker, StreamClient(near.stream_url) as client:
        await worker.register_trigger("state", "record", {"scope": "s"})
        await worker.register_trigger("durable:subscriber", "message", {"topic": "t"})
        await client.say("join", "s1", streamName="s", groupId="g")
        following = asyncio.create_task(heard.follow(client))
        running = [asyncio.create_task(writer.run(worker)) for writer in writers.values()]
        for _ in range(ROUNDS):
            await killed_under_load(home, near, writers)
        for writer in writers.values():
            writer.stop()
        await asyncio.gather(*running)
        for writer in writers.values():
            writer.check_all()
        await verify_store(worker, writers)
        await verify_heard(heard, writers)
        following.cancel()
    assert heard.syncs == 1 + ROUNDS


async def killed_under_load(
    home: EngineProcess, near: RunningEngine, writers: dict[str, Writer]
) -> None:
    """Kill the engine when all have written something, and wait until all write again."""
    await progress(writers)
    await asyncio.sleep(random.uniform(0, 0.2))  # any moment
    await asyncio.to_thread(home.kill)
    await asyncio.to_thread(home.start)
    await until(lambda: near.app.modules["iii-state"].status() == "running")
    await progress(writers)


async def progress(writers: dict[str, Writer]) -> None:
    before = {kind: len(writer.acknowledged) for kind, writer in writers.items()}
    await until(
        lambda: all(len(w.acknowledged) > before[kind] + 1 for kind, w in writers.items()),
        "all write",
    )


async def verify_store(worker: RawWorker, writers: dict[str, Writer]) -> None:
    writers["record"].check(set(await worker.call("state::list", {"scope": "s"})))
    writers["item"].check(set(await worker.call("stream::list", GROUP)))
    count = writers["count"]
    found = (await worker.call("state::get", {"scope": "n", "key": "n"}))["n"]
    done, unknown = len(count.acknowledged), len(count.unknown)
    assert done <= found <= done + unknown


async def verify_heard(heard: Heard, writers: dict[str, Writer]) -> None:
    for kind in ("message", "job"):
        counter, writer = heard.all[kind], writers[kind]
        await until(lambda: writer.acknowledged <= set(counter), f"each {kind}")  # noqa: B023
        writer.check(set(counter))
        # Only what ran at a kill runs again.
        assert counter.total() - len(counter) <= 10 * ROUNDS, kind
    items = writers["item"]
    await until(lambda: items.acknowledged <= heard.shown, "each item is shown")
    items.check(heard.shown)
    assert set(heard.created.values()) == {1}
    assert set(heard.all["record"].values()) == {1}
