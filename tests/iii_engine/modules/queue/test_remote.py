"""The adapter `bridge`: an engine whose queues are those of another one, both of them real."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

import pytest
from tests.support.engine import RunningEngine
from tests.support.raw_worker import CallFailed, RawWorker
from tests.support.waiting import until

from iii_engine.modules.queue import QueueModule
from iii_engine.modules.queue.away import away
from iii_engine.modules.queue.options import QueueOptions
from iii_sdk.errors import BusError
from iii_sdk.protocol import ErrorBody


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connect again at once."""
    monkeypatch.setattr("iii_engine.modules.bridge.link.FIRST_PAUSE", 0.05)


@pytest.fixture
async def home() -> AsyncIterator[RunningEngine]:
    """The engine that has the queues."""
    config = {"type": "standard", "max_retries": 2, "backoff_ms": 10}
    engine = RunningEngine({"iii-queue": {"queue_configs": {"jobs": config}}})
    await engine.start()
    yield engine
    await engine.stop()


@pytest.fixture
async def near(home: RunningEngine) -> AsyncIterator[RunningEngine]:
    adapter = {"name": "bridge", "config": {"bridge_url": home.url}}
    engine = RunningEngine({"iii-queue": {"adapter": adapter}})
    await engine.start()
    await until(lambda: module(engine).status() == "running")
    yield engine
    await engine.stop()


def module(engine: RunningEngine) -> QueueModule:
    found = engine.app.modules["iii-queue"]
    assert isinstance(found, QueueModule)
    return found


async def subscribe(worker: RawWorker, topic: str, function_id: str, **config: object) -> str:
    await worker.register(function_id)
    return await worker.register_trigger(
        "durable:subscriber", function_id, {"topic": topic, **config}
    )


async def publish(worker: RawWorker, topic: str, data: object) -> object:
    return await worker.call("iii::durable::publish", {"topic": topic, "data": data})


async def test_messages_cross_in_both_directions(home: RunningEngine, near: RunningEngine) -> None:
    async with RawWorker(near.url) as here, RawWorker(home.url) as there:
        await subscribe(here, "t", "here")
        await subscribe(there, "t", "there")
        await bound(there, "t", 2)
        assert await publish(here, "t", {"n": 1}) is None
        assert await publish(there, "t", {"n": 2}) is None
        for worker, function_id in ((here, "here"), (there, "there")):
            for n in (1, 2):
                job = await worker.invoked(function_id)
                assert job["data"]["n"] == n
                await worker.answer(job)


async def dead(worker: RawWorker, topic: str) -> object:
    return await worker.call("engine::queue::dlq_messages", {"topic": topic})


async def is_empty(worker: RawWorker, topic: str) -> bool:
    stats = await worker.call("engine::queue::topic_stats", {"topic": topic})
    return bool(stats["depth"] == 0)


async def bound(worker: RawWorker, topic: str, count: int) -> None:
    """Wait until so many functions consume the topic."""

    async def are() -> bool:
        stats = await worker.call("engine::queue::topic_stats", {"topic": topic})
        return bool(stats["consumer_count"] == count)

    await until(are, f"{count} consumers")


async def test_a_job_that_fails_is_tried_again_and_buried_over_there(
    home: RunningEngine, near: RunningEngine
) -> None:
    async with RawWorker(near.url) as here:
        await subscribe(here, "t", "f", queue_config={"maxRetries": 2, "backoffDelayMs": 10})
        await publish(here, "t", 1)
        for _ in range(2):
            await here.fail(await here.invoked("f"), "boom", "it broke")
        (job,) = await until(lambda: dead(here, "t"))  # type: ignore[misc,attr-defined]
        assert "it broke" in job["error"]
        assert await here.call("iii::queue::redrive", {"queue": "t"}) == {
            "queue": "t",
            "redriven": 1,
        }
        await here.answer(await here.invoked("f"))


async def test_a_condition_holds_jobs_back_here(near: RunningEngine) -> None:
    near.core.add_function("even", lambda call: call.reply(_even(bytes(call.data))), module="test")
    async with RawWorker(near.url) as here:
        await subscribe(here, "t", "f", condition_function_id="even")
        for n in (1, 2, 3, 4):
            await publish(here, "t", n)
        for n in (2, 4):
            job = await here.invoked("f")
            assert job["data"] == n
            await here.answer(job)


def _even(data: bytes) -> bytes:
    return b"true" if int(data) % 2 == 0 else b"false"


async def test_a_named_queue_calls_functions_of_the_other_engine(
    home: RunningEngine, near: RunningEngine
) -> None:
    async with RawWorker(near.url) as here, RawWorker(home.url) as there:
        await there.register("work")
        action = {"type": "enqueue", "queue": "jobs"}
        receipt = await here.call("work", {"n": 1}, action=action)
        assert receipt["messageReceiptId"]
        job = await there.invoked("work")
        assert job["data"]["n"] == 1
        await there.answer(job)
        with pytest.raises(CallFailed) as caught:
            await here.call("work", {}, action={"type": "enqueue", "queue": "none"})
        assert str(caught.value) == "enqueue_error: Queue 'none' not found"


ENQUEUE = {"type": "enqueue", "queue": "jobs"}


async def test_a_named_queue_calls_functions_of_the_engine_that_uses_it(
    home: RunningEngine, near: RunningEngine
) -> None:
    async with RawWorker(near.url) as here:
        await here.register("work")
        for n in (1, 2):
            await here.call("work", {"n": n}, action=ENQUEUE)
            job = await here.invoked("work")
            assert job["data"]["n"] == n
            await here.answer(job)
        await here.call("work", {"n": 3}, action=ENQUEUE)
        for _ in range(2):  # it fails as other jobs do
            await here.fail(await here.invoked("work"), "boom", "it broke")
        (job,) = await until(lambda: dead(here, "jobs"))  # type: ignore[misc,attr-defined]
        assert "it broke" in job["error"]
    async with RawWorker(home.url) as there:
        with pytest.raises(CallFailed, match="function_not_found"):
            await there.call("work", {})  # it is not offered to everybody by this name


@pytest.mark.promise(
    "Queues",
    "A job on a queue of another engine waits while the engine with its function restarts.",
)
async def test_jobs_of_a_named_queue_wait_for_an_engine_that_restarts(
    home: RunningEngine, near: RunningEngine
) -> None:
    async with RawWorker(near.url) as here:
        await here.register("work")
        for n in (1, 2):
            await here.call("work", {"n": n}, action=ENQUEUE)
        await here.invoked("work")
        await near.stop()
    async with RawWorker(home.url) as there:

        async def delayed() -> bool:
            stats = {"topic": "jobs", "details": True}
            return bool((await there.call("engine::queue::topic_stats", stats))["delayed"] == 2)

        await until(delayed)
    await near.start()
    async with RawWorker(near.url) as here:
        await here.register("work")
        seen = []
        for _ in range(2):
            job = await here.invoked("work")
            seen.append(job["data"]["n"])
            await here.answer(job)
        assert sorted(seen) == [1, 2]


async def test_jobs_of_a_named_queue_wait_for_a_worker_that_is_away(
    home: RunningEngine, near: RunningEngine
) -> None:
    async with RawWorker(near.url) as here, RawWorker(near.url) as other:
        await here.register("work")
        await here.call("work", {"n": 1}, action=ENQUEUE)
        await here.answer(await here.invoked("work"))
        await here.close()
        await until(lambda: "work" not in near.core.registry)
        await other.call("work", {"n": 2}, action=ENQUEUE)
    async with RawWorker(near.url) as here:
        await here.register("work")
        job = await here.invoked("work")
        assert job["data"]["n"] == 2
        await here.answer(job)


async def test_an_engine_that_is_away_is_waited_for_and_then_named(
    home: RunningEngine, near: RunningEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("iii_engine.modules.bridge.remote.PATIENCE_SECONDS", 0.05)
    away = f"the engine at {home.url} cannot be reached"
    await home.stop()
    await until(lambda: module(near).status() != "running")
    async with RawWorker(near.url) as here:
        with pytest.raises(CallFailed) as caught:
            await publish(here, "t", 1)
        assert str(caught.value) == f"bridge_error: {away}"
        with pytest.raises(CallFailed) as caught:
            await here.call("work", {}, action={"type": "enqueue", "queue": "jobs"})
        assert str(caught.value) == f"enqueue_error: {away}"
    await home.start()


async def test_messages_wait_for_a_worker_that_is_away(near: RunningEngine) -> None:
    async with RawWorker(near.url) as here:
        await subscribe(here, "t", "f")
    async with RawWorker(near.url) as other:
        for n in (1, 2, 3):
            await publish(other, "t", n)
    async with RawWorker(near.url) as here:
        await subscribe(here, "t", "f")
        seen = set()
        for _ in range(3):
            job = await here.invoked("f")
            seen.add(job["data"])
            await here.answer(job)
        assert seen == {1, 2, 3}


#: More attempts than losing the link in the midst of a delivery may use.
LEASED: Final = {"visibilityTimeout": 60, "maxRetries": 5, "backoffDelayMs": 1}


@pytest.mark.promise(
    "Queues",
    "Messages for a worker of another engine wait while it is away, whatever lease and retries its"
    " subscription has; each is handled once when it is back.",
)
async def test_messages_that_wait_for_a_worker_over_there_use_no_attempts(
    home: RunningEngine, near: RunningEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    given_back: list[str] = []

    def noted(function_id: str) -> ErrorBody:
        given_back.append(function_id)
        return away(function_id)

    monkeypatch.setattr("iii_engine.modules.queue.remote.away", noted)
    async with RawWorker(near.url) as here:
        await subscribe(here, "t", "f", queue_config=LEASED)
    await until(lambda: "f" not in near.core.registry)
    async with RawWorker(home.url) as there:
        for n in range(3):
            await publish(there, "t", n)
        await until(lambda: len(given_back) > 3)  # each of them, and one again
        assert await dead(there, "t") == []
        await near.stop()
        await near.start()
        async with RawWorker(near.url) as here:
            await subscribe(here, "t", "f", queue_config=LEASED)
            seen = []
            for _ in range(3):
                job = await here.invoked("f")
                seen.append(job["data"])
                await here.answer(job)
            assert sorted(seen) == [0, 1, 2]
            await until(lambda: is_empty(there, "t"))
            assert await dead(there, "t") == []
            assert all(frame["type"] != "invokefunction" for frame in here.frames)


async def test_messages_wait_for_an_engine_that_restarts(
    home: RunningEngine, near: RunningEngine
) -> None:
    async with RawWorker(near.url) as here:
        await subscribe(here, "t", "f")
    await near.stop()
    async with RawWorker(home.url) as there:
        await publish(there, "t", 1)
    await near.start()
    async with RawWorker(near.url) as here:
        await subscribe(here, "t", "f")
        job = await here.invoked("f")
        assert job["data"] == 1
        await here.answer(job)


async def test_unregistering_ends_the_subscription_over_there(
    home: RunningEngine, near: RunningEngine
) -> None:
    async with RawWorker(near.url) as here, RawWorker(home.url) as there:
        trigger = await subscribe(here, "t", "f")
        await bound(there, "t", 1)
        await here.send("unregistertrigger", id=trigger, trigger_type="durable:subscriber")
        await bound(there, "t", 0)


async def test_another_adapter_is_a_new_start(home: RunningEngine, near: RunningEngine) -> None:
    assert await module(near).reconfigure(module(near).options)
    assert not await module(near).reconfigure(QueueOptions())
    async with RawWorker(near.url) as here, RawWorker(home.url) as there:
        await subscribe(here, "t", "f")
        await bound(there, "t", 1)
        await module(near).drain(1)
        await bound(there, "t", 0)


def test_a_wrong_address_is_named() -> None:
    options = QueueOptions()
    options.adapter.name, options.adapter.config = "bridge", {"bridge_url": "http://x"}
    with pytest.raises(BusError, match="is not a ws:// or wss:// URL"):
        QueueModule.check(options)
