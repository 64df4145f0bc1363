"""Questions to a server's queues: each is answered, whatever goes wrong meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any, Final

import pytest
from tests.support.queue_engine import Shared, shared
from tests.support.servers import Server
from tests.support.waiting import until

from iii_sdk.errors import BusError

#: Where the seconds that each waits for its server at the end are.
GOODBYES: Final = {
    "nats": "iii_engine.modules.queue.jetstream.broker.GOODBYE_SECONDS",
    "redis": "iii_engine.modules.queue.redis.asking.GOODBYE_SECONDS",
    "rabbitmq": "iii_engine.modules.queue.rabbitmq.broker.GOODBYE_SECONDS",
}
#: What makes an answer of what the server says.
READERS: Final = {
    "nats": "iii_engine.modules.queue.jetstream.kept.JetQueue.stats",
    "redis": "iii_engine.modules.queue.redis.looking.Stats",
    "rabbitmq": "iii_engine.modules.queue.rabbitmq.place.Place.stats",
}


def questions(engine: Shared) -> list[Coroutine[Any, Any, Any]]:
    return [
        engine.enqueue("default", "work", 1),
        engine.ask("iii::durable::publish", {"topic": "t", "data": 1}),
        engine.ask("engine::queue::topic_stats", {"topic": "default"}),
        engine.ask("engine::queue::dlq_messages", {"topic": "default"}),
    ]


async def test_the_queues_end_while_their_server_hangs(
    server: Server, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setattr(GOODBYES[request.node.callspec.params["server"]], 0.1)
    monkeypatch.setattr("iii_engine.modules.queue.redis.asking.ANSWER_SECONDS", 1.5)
    async with shared(server) as (engine,):
        engine.function("work")
        await engine.enqueue("default", "work", 0)
        pending = len(engine.core.router.pending)
        server.pause()
        try:
            asked = [asyncio.ensure_future(question) for question in questions(engine)]
            await asyncio.sleep(0)
            config = engine.config
            others = tuple(each for each in config.entries if each.name != "iii-queue")
            without = engine.app.prepare(replace(config, entries=others))
            assert await engine.app.apply(without) == []
            answers = await asyncio.wait_for(asyncio.gather(*asked, return_exceptions=True), 20)
        finally:
            server.resume()
        assert all(isinstance(answer, BusError) for answer in answers), answers
        await until(lambda: len(engine.core.router.pending) <= pending)


async def test_a_defect_in_reading_an_answer(
    server: Server, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    def defect(*_: object) -> object:
        raise ValueError("a defect")

    async def later(*_: object) -> object:
        return defect()

    kind = request.node.callspec.params["server"]
    async with shared(server) as (engine,):
        monkeypatch.setattr(READERS[kind], defect if kind == "redis" else later)
        asked = engine.ask("engine::queue::topic_stats", {"topic": "default"})
        with pytest.raises(BusError, match="internal server error"):
            await asyncio.wait_for(asked, 20)
