"""Queues and topics in NATS that are paused rest at every engine."""

from __future__ import annotations

import asyncio

import pytest
from tests.support.queue_engine import Shared, holds, knows, shared
from tests.support.servers import NatsServer
from tests.support.waiting import until

from iii_sdk.errors import BusError


async def paused(engine: Shared, name: str) -> bool:
    asked = {"topic": name, "details": True}
    found: bool = (await engine.ask("engine::queue::topic_stats", asked))["paused"]
    return found


@pytest.mark.promise(
    "Queues",
    "A queue in NATS that is paused at one engine rests at all of them, also after their restart, "
    "until one resumes it.",
)
async def test_what_is_paused_at_one_engine_rests_at_all(nats_server: NatsServer) -> None:
    async with shared(nats_server, 2, q={}) as (one, two):
        heard, told = [one.function("work"), two.function("work")], two.function("listen")
        assert two.bind("t", "listen", {}) is None
        await until(lambda: knows(one, "t"))
        for name in ("q", "t"):
            await one.ask("iii::queue::pause", {"queue": name})
            await until(lambda name=name: paused(two, name))  # type: ignore[misc]
        for n in range(20):
            await one.enqueue("q", "work", n)
        await one.ask("iii::durable::publish", {"topic": "t", "data": 1})
        other = two.function("other")
        await one.enqueue("default", "other", 1)
        await until(lambda: other == [1], timeout=20)
        assert [*heard, told] == [[], [], []]
        await one.restart()
        await two.restart()
        heard, told = [one.function("work"), two.function("work")], two.function("listen")
        assert two.bind("t", "listen", {}) is None
        assert await paused(one, "q")
        assert await paused(two, "t")
        assert await holds(two, "q", (20, 0))
        assert [*heard, told] == [[], [], []]
        for name in ("q", "t"):
            await two.ask("iii::queue::resume", {"queue": name})
        await until(lambda: sorted([*heard[0], *heard[1]]) == list(range(20)))
        await until(lambda: told == [1])
        await until(lambda: holds(one, "q", (0, 0)))
        assert not await paused(two, "q")


async def test_what_was_resumed_while_an_engine_heard_nothing_goes_on_there(
    nats_server: NatsServer,
) -> None:
    async with shared(nats_server, q={}) as (engine,):
        heard = engine.function("work")
        await engine.ask("iii::queue::pause", {"queue": "q"})
        await engine.enqueue("q", "work", 1)
        await asyncio.to_thread(nats_server.kill)
        await until(lambda: "is lost" in engine.status)
        with pytest.raises(BusError, match="cannot be reached"):
            await engine.ask("iii::queue::resume", {"queue": "q"})
        assert takes_for_paused(engine)
        await asyncio.to_thread(nats_server.start)
        async with shared(nats_server, q={}) as (other,):
            assert await paused(other, "q")
            await other.ask("iii::queue::resume", {"queue": "q"})
        await until(lambda: heard == [1])


def takes_for_paused(engine: Shared) -> bool:
    """Whether this engine still takes the queue for paused."""
    queues = engine.app.modules["iii-queue"].queues  # type: ignore[attr-defined]
    return "q" in queues.pauses
