"""Jobs in NATS that are none, too large to die as they are, or whose settings change in a hurry."""

from __future__ import annotations

from typing import Any

import nats
import pytest
from tests.support.queue_engine import Shared, has_dead, holds, shared
from tests.support.servers import NatsServer
from tests.support.waiting import until

from iii_engine.modules.queue.job import QueueName
from iii_sdk.errors import BusError


def queue_of(engine: Shared, name: QueueName) -> Any:
    return engine.app.modules["iii-queue"].broker.queue(name)  # type: ignore[attr-defined]


async def store(server: NatsServer, subject: str, record: bytes) -> None:
    client = await nats.connect(server.url)
    await client.jetstream().publish(subject, record)
    await client.close()


async def test_a_dead_record_that_is_no_job_is_shown_by_its_name_and_can_be_discarded(
    nats_server: NatsServer,
) -> None:
    async with shared(nats_server, q={"max_retries": 1}) as (engine,):
        engine.function("work", "no")
        await engine.enqueue("q", "work", 1)
        await until(lambda: has_dead(engine, "q", 1))
        await store(
            nats_server, f"{queue_of(engine, QueueName('q')).letters.name}.foreign", b"no job"
        )
        foreign, mine = await engine.dead("q")
        assert (foreign["id"], foreign["payload"], mine["payload"]) == ("foreign", "no job", 1)
        message = {"queue": "q", "message_id": "foreign"}
        assert (await engine.ask("iii::queue::status", message))["state"] == "dlq"
        with pytest.raises(BusError, match="foreign cannot be read, and stays where it is"):
            await engine.ask("iii::queue::redrive_message", message)
        assert (await engine.ask("iii::queue::discard_message", message))["redriven"] == 1
        assert await has_dead(engine, "q", 1)


async def test_a_record_that_is_no_job_is_dead_and_stops_no_other(nats_server: NatsServer) -> None:
    async with shared(nats_server) as (engine,):
        await engine.ask("iii::durable::publish", {"topic": "t", "data": 1})
        early = queue_of(engine, QueueName("t", True)).jobs.name
        await store(nats_server, f"{early}.0.foreign", b"no job")
        await engine.ask("iii::durable::publish", {"topic": "t", "data": 2})
        heard = engine.function("f")
        assert engine.bind("t", "f", {}) is None
        await until(lambda: sorted(heard) == [1, 2])
        await store(
            nats_server, f"{queue_of(engine, QueueName('t', True, 'f')).jobs.name}.0.x", b"0"
        )
        await until(lambda: holds(engine, "t", (0, 2)))
        shown = {dead["id"]: dead["payload"] for dead in await engine.dead("t")}
        assert shown == {"foreign": "no job", "x": "0"}


async def test_a_job_almost_too_large_for_the_server_dies_once(nats_server: NatsServer) -> None:
    async with shared(nats_server, q={"max_retries": 1}) as (engine,):
        heard = engine.function("work", *("x" * 3000 for _ in range(5)))
        most = 1024 * 1024 - 4096 - 700
        await engine.enqueue("q", "work", "a" * most)
        await until(lambda: has_dead(engine, "q", 1))
        assert len(heard) == 1
        (dead,) = await engine.dead("q")
        assert dead["payload"] == "a" * most
        assert dead["error"].endswith("xxx")
        assert len(dead["error"]) == 500
        with pytest.raises(BusError, match=r"max_payload 1,048,576"):
            await engine.enqueue("q", "work", "a" * (1024 * 1024 - 4096))
        assert await engine.stats("q") == (0, 1)


async def test_changes_of_limits_in_a_hurry_open_each_lane_once(nats_server: NatsServer) -> None:
    async with shared(nats_server) as (engine,):
        heard = engine.function("f")
        for number in range(6):
            kind = "standard" if number % 2 else "fifo"
            assert engine.bind("t", "f", {"type": kind, "concurrency": 2}) is None
        queue = queue_of(engine, QueueName("t", True, "f"))
        for number in range(3):
            await engine.ask("iii::durable::publish", {"topic": "t", "data": number})
        await until(lambda: sorted(heard) == [0, 1, 2])
        await engine.ask("engine::queue::topic_stats", {"topic": "t"})
        subjects = [lane.subject for lane in queue.lanes.all]
        assert len(subjects) == len(set(subjects))
