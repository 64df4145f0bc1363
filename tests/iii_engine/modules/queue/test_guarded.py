"""What workers of a guarded listener may do with queues (wire protocol 10, modules 9.3)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.support.engine import EngineProcess
from tests.support.raw_worker import CallFailed, RawWorker
from tests.support.waiting import until

from iii_engine.app import App
from iii_engine.config.entries import parse

SUBSCRIBER = "durable:subscriber"


def listener(*filters: str) -> dict[str, object]:
    config: dict[str, object] = {"host": "127.0.0.1", "port": 0}
    if filters:
        config["rbac"] = {"expose_functions": [f'match("{each}")' for each in filters]}
    return {"name": "iii-worker-manager", "config": config}


class Site:
    """A trusted listener, and two guarded ones whose workers may call `open::*`."""

    def __init__(self, app: App) -> None:
        self.app = app

    @asynccontextmanager
    async def worker(self, number: int) -> AsyncIterator[RawWorker]:
        name = "iii-worker-manager" + (f"#{number}" if number else "")
        address = self.app.modules[name].address  # type: ignore[attr-defined]
        async with RawWorker("ws://{}:{}".format(*address)) as worker:
            yield worker


@pytest.fixture(params=["builtin", "bridge"])
async def site(request: pytest.FixtureRequest) -> AsyncIterator[Site]:
    """Its queues are its own, or those of another engine."""
    queue: dict[str, object] = {"name": "iii-queue"}
    if request.param == "bridge":
        home: EngineProcess = request.getfixturevalue("engine_process")
        adapter = {"name": "bridge", "config": {"bridge_url": home.url}}
        queue["config"] = {"adapter": adapter}
    workers = [listener(), listener("open::*"), listener("open::*", "more"), queue]
    app = App(parse(json.dumps({"workers": workers}), Path("c.yaml"), {}))
    await app.start()
    await until(lambda: app.modules["iii-queue"].status() == "running")
    yield Site(app)
    await app.stop(grace=0)


async def subscribe(worker: RawWorker, topic: str, function_id: str, **config: object) -> str:
    """The trigger's id; raises `CallFailed` when it is refused."""
    trigger_id = await worker.register_trigger(SUBSCRIBER, function_id, {"topic": topic, **config})
    for frame in worker.frames:
        answered = frame["type"] == "triggerregistrationresult" and frame["id"] == trigger_id
        if answered and frame.get("error") is not None:
            raise CallFailed(frame["error"])
    return trigger_id


async def test_nothing_of_the_queues_is_offered_to_a_guarded_worker_by_itself(site: Site) -> None:
    functions = [function.id for function in site.app.engine.registry]
    of_queues = [each for each in functions if "queue" in each or "durable" in each]
    assert len(of_queues) >= 10
    async with site.worker(1) as guest:
        for function_id in of_queues:
            code, _ = await guest.failure(function_id, {"queue": "default", "topic": "t"})
            assert code == "FORBIDDEN"
        await guest.register("own")
        for function_id in ("own", "closed"):
            action = {"type": "enqueue", "queue": "default"}
            with pytest.raises(CallFailed, match="FORBIDDEN"):
                await guest.call(function_id, {}, action=action)


async def publish(worker: RawWorker, topic: str, data: object) -> None:
    await worker.call("iii::durable::publish", {"topic": topic, "data": data})


async def hear(worker: RawWorker, function_id: str) -> object:
    """The payload of the next call, which is answered."""
    call = await worker.invoked(function_id)
    await worker.answer(call)
    return call["data"]


async def test_a_guarded_worker_decides_nothing_about_anothers_subscription(site: Site) -> None:
    async with site.worker(0) as trusted, site.worker(1) as guest:
        await trusted.register("open::f")
        await subscribe(trusted, "t", "open::f")
        await guest.register("never")
        with pytest.raises(CallFailed, match="FORBIDDEN"):
            await subscribe(guest, "t", "open::f", condition_function_id="never")
        await publish(trusted, "t", 1)
        assert await hear(trusted, "open::f") == 1
        # It may call the function, and so have it called for a topic of its own.
        await subscribe(guest, "mine", "open::f")
        await publish(trusted, "mine", 2)
        assert await hear(trusted, "open::f") == 2


@pytest.mark.promise(
    "Access control",
    "A guarded worker can neither join nor end a topic's subscription of another party, nor one "
    "whose worker is away.",
)
async def test_a_guarded_worker_ends_no_subscription_whose_worker_is_away(site: Site) -> None:
    async with site.worker(0) as trusted, site.worker(1) as guest:
        async with site.worker(0) as away:
            await away.register("open::f")
            await subscribe(away, "t", "open::f")
        await until(lambda: "open::f" not in site.app.engine.registry)
        await publish(trusted, "t", 1)
        with pytest.raises(CallFailed, match="FORBIDDEN"):
            await subscribe(guest, "t", "open::f")
        async with site.worker(0) as back:
            await back.register("open::f")
            await subscribe(back, "t", "open::f")
            assert await hear(back, "open::f") == 1


async def test_guarded_workers_have_subscriptions_of_their_own(site: Site) -> None:
    async with site.worker(0) as trusted:
        async with site.worker(1) as guest:
            await guest.register("open::g")
            await subscribe(guest, "t", "open::g")
            await publish(trusted, "t", 1)
            assert await hear(guest, "open::g") == 1
        await until(lambda: "open::g" not in site.app.engine.registry)
        await publish(trusted, "t", 2)
        async with site.worker(2) as other:
            with pytest.raises(CallFailed, match="FORBIDDEN"):
                await subscribe(other, "t", "open::g")
        async with site.worker(1) as guest, site.worker(1) as another:
            for worker in (guest, another):
                await worker.register("open::g")
                await subscribe(worker, "t", "open::g")
            calls = [asyncio.create_task(hear(each, "open::g")) for each in (guest, another)]
            done, waiting = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
            assert [call.result() for call in done] == [2]
            for call in waiting:
                call.cancel()
        # What a trusted worker says counts, whoever was there.
        await subscribe(trusted, "t", "open::g")
        async with site.worker(1) as guest:
            await guest.register("open::g")
            with pytest.raises(CallFailed, match="FORBIDDEN"):
                await subscribe(guest, "t", "open::g")
