"""Jobs of one engine of a cluster whose worker is connected to another one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final

import pytest
from tests.support.engine import RunningEngine
from tests.support.raw_worker import CallFailed, RawWorker
from tests.support.servers import NatsServer
from tests.support.waiting import PATIENCE, until

#: The end of its first lease is the end of a job.
QUEUE: Final = {"visibility_timeout_ms": 60_000, "max_retries": 1}


def member(nats: NatsServer, name: str, **modules: Any) -> RunningEngine:
    cluster = {"nats_url": nats.url, "name": name, "heartbeat_ms": 200, "silence_ms": 30_000}
    return RunningEngine({"iii-cluster": cluster, **modules})


@pytest.fixture
async def pair(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[RunningEngine, RunningEngine]]:
    """The engine that has the queue `q`, and the one with its worker."""
    monkeypatch.setattr("iii_engine.modules.queue.elsewhere.ASK_SECONDS", PATIENCE)
    home = member(nats_server, "home", **{"iii-queue": {"queue_configs": {"q": QUEUE}}})
    near = member(nats_server, "near")
    await home.start()
    await near.start()
    for engine in (home, near):
        await until(lambda engine=engine: engine.core.others.sessions())  # type: ignore[misc]
    yield home, near
    await near.stop()
    await home.stop()


async def enqueue(there: RawWorker, home: RunningEngine, function_id: str) -> Any:
    await until(lambda: function_id in home.core.registry)
    action = {"type": "enqueue", "queue": "q"}
    return (await there.call(function_id, 1, action=action))["messageReceiptId"]


@pytest.mark.promise(
    "Several engines",
    "A worker renews the lease of a job, asks about it and cancels it at the engine that it is"
    " connected to, whichever engine of the cluster has the job.",
)
async def test_a_lease_is_renewed_from_another_engine(
    pair: tuple[RunningEngine, RunningEngine],
) -> None:
    home, near = pair
    async with RawWorker(near.url) as here, RawWorker(home.url) as there:
        await here.register("work")
        await enqueue(there, home, "work")
        job = await here.invoked("work")
        told = job["metadata"]["iii_queue"]
        holder = {name: told[name] for name in ("queue", "message_id", "token")}
        assert await renews(here, holder)
        another = holder | {"token": told["token"] + 1}
        assert not await renews(here, another)
        assert await renews(here, holder | {"visibility_timeout_ms": 20})
        query = {"topic": "q"}
        (dead,) = await until(lambda: there.call("engine::queue::dlq_messages", query))
        assert dead["error"].startswith("lease_expired")
        assert not await renews(here, holder)


async def renews(worker: RawWorker, holder: dict[str, Any]) -> bool:
    return bool((await worker.call("iii::queue::heartbeat", holder))["renewed"])


async def test_a_job_is_seen_and_cancelled_from_another_engine(
    pair: tuple[RunningEngine, RunningEngine],
) -> None:
    home, near = pair
    async with RawWorker(near.url) as here, RawWorker(home.url) as there:
        await here.register("work")
        query = {"queue": "q", "message_id": await enqueue(there, home, "work")}
        await here.invoked("work")
        assert (await here.call("iii::queue::status", query))["state"] == "active"
        assert await here.call("iii::queue::cancel", query) == {
            **query,
            "cancelled": True,
            "was": "active",
        }
        assert (await here.call("iii::queue::status", query))["state"] is None
        assert not (await here.call("iii::queue::cancel", query))["cancelled"]


async def test_an_engine_that_does_not_say_is_named(
    pair: tuple[RunningEngine, RunningEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    home, near = pair
    monkeypatch.setattr("iii_engine.modules.queue.elsewhere.ASK_SECONDS", 0.1)
    home.core.others.answer("engine::job::heartbeat", lambda call: None)
    async with RawWorker(near.url) as here:
        query = {"queue": "q", "message_id": "m"}
        with pytest.raises(CallFailed) as caught:
            await here.call("iii::queue::heartbeat", query)
    assert caught.value.code == "engine_unreachable"
    assert caught.value.message == (
        "engine home: Function engine::job::heartbeat did not answer in time"
    )


@pytest.mark.promise(
    "Several engines",
    "What an engine knows by itself of a job it tells and does at once, also while another engine"
    " of the cluster hangs.",
)
async def test_a_job_that_waits_here_needs_nobody_else(
    pair: tuple[RunningEngine, RunningEngine],
) -> None:
    home, near = pair
    for question in ("status", "cancel"):
        near.core.others.answer(f"engine::job::{question}", lambda call: None)
    async with RawWorker(home.url) as worker:
        await worker.register("work")
        await worker.call("iii::queue::pause", {"queue": "q"})
        query = {"queue": "q", "message_id": await enqueue(worker, home, "work")}
        assert (await worker.call("iii::queue::status", query))["state"] == "waiting"
        assert (await worker.call("iii::queue::cancel", query))["was"] == "waiting"


async def test_a_job_on_a_server_is_told_of_while_an_engine_hangs(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("iii_engine.modules.queue.elsewhere.ASK_SECONDS", 0.1)
    adapter = {"name": "nats", "config": {"nats_url": nats_server.url}}
    queues = {"queue_configs": {"q": QUEUE}, "adapter": adapter}
    home = member(nats_server, "home", **{"iii-queue": queues})
    near = member(nats_server, "near")
    await home.start()
    await near.start()
    await until(lambda: home.core.others.sessions())
    for question in ("status", "cancel"):
        near.core.others.answer(f"engine::job::{question}", lambda call: None)
    async with RawWorker(home.url) as worker:
        await worker.register("work")
        await worker.call("iii::queue::pause", {"queue": "q"})
        query = {"queue": "q", "message_id": await enqueue(worker, home, "work")}
        assert (await worker.call("iii::queue::status", query))["state"] == "waiting"
        code, _ = await worker.failure("iii::queue::cancel", query)
        assert code == "engine_unreachable"
    await near.stop()
    await home.stop()


async def test_workers_cannot_ask_what_engines_ask_each_other(
    pair: tuple[RunningEngine, RunningEngine],
) -> None:
    for engine in pair:
        async with RawWorker(engine.url) as worker:
            code, _ = await worker.failure("engine::job::status", {"queue": "q"})
            assert code == "function_not_found"
