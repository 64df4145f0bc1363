"""RabbitMQ is cut off in the middle of a request, is silent for a while, or has an alarm."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import pytest
from tests.support.amqp_relay import BLOCKED, UNBLOCKED, AmqpRelay, frame
from tests.support.queue_engine import Shared, adapter_of, holds
from tests.support.servers import RabbitServer
from tests.support.waiting import until

from iii_engine.core.router import Call
from iii_engine.modules.queue.rabbitmq import connection, link, publisher
from iii_sdk.errors import BusError

#: What a client asks for, and of which queue: at each of them a task was lost once.
CUTS = [
    ("basic.consume", "retry.50."),
    ("basic.consume", "fn_queue::q"),
    ("queue.declare", "retry."),
    ("queue.declare", "fn_queue::q"),
    ("channel.open", ""),
    ("confirm.select", ""),
    ("basic.qos", ""),
    ("basic.publish", "fn_queue::q"),
    ("basic.publish", "retry."),
    ("basic.ack", ""),
]

REASON = b"low on memory"
ALARM = frame(BLOCKED, struct.pack("B", len(REASON)) + REASON)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connect again at once."""
    monkeypatch.setattr(link, "RECONNECT_SECONDS", (0.02, 0.1))


@asynccontextmanager
async def relayed(server: RabbitServer, **queues: Any) -> AsyncIterator[tuple[Shared, AmqpRelay]]:
    """An engine that reaches the server through a relay."""
    async with AmqpRelay(server.url) as relay:
        engine = Shared(server, **queues)
        config = {"prefix": f"test-{uuid4().hex[:12]}", "backoff_ms": 20}
        engine.configure({"iii-queue": {"adapter": adapter_of("rabbitmq", relay.url, **config)}})
        await engine.start()
        try:
            yield engine, relay
        finally:
            relay.go_on()
            await engine.stop()


async def ended(engine: Shared, queue: str) -> bool:
    """Whether all jobs have ended, and the server is back."""
    try:
        return (await engine.stats(queue))[0] == 0
    except BusError:
        return False


@pytest.mark.promise(
    "Queues",
    "The connection to RabbitMQ may be cut in the middle of any request: jobs go on when it is "
    "back, and none that was acknowledged is lost.",
)
async def test_a_cut_in_the_middle_of_a_request_stops_nothing(
    rabbitmq_server: RabbitServer,
) -> None:
    retries = {"max_retries": 50, "backoff_ms": 20, "backoff_type": "fixed"}
    async with relayed(rabbitmq_server, q=retries) as (engine, relay):
        stored: set[int] = set()
        for number, (method, about) in enumerate(CUTS):
            heard = engine.function(f"f{number}", "fails once")
            relay.cut_at(method, about)
            relay.cut()
            while relay.armed or number not in stored:
                try:
                    await engine.enqueue("q", f"f{number}", number, delay_ms=60)
                    stored.add(number)
                except BusError:
                    await asyncio.sleep(0.01)
            await until(lambda: len(heard) >= 2, f"jobs after a cut at {method} {about}")  # noqa: B023
        await until(lambda: ended(engine, "q"))
        await until(lambda: engine.status == "running")


@pytest.mark.promise(
    "Queues",
    "A RabbitMQ that hangs, or has an alarm, while a job fails has one copy of it afterwards.",
)
async def test_a_server_that_is_silent_gets_what_it_may_still_store_once(
    rabbitmq_server: RabbitServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    queues = {"r": {"max_retries": 2, "backoff_ms": 20}, "d": {"max_retries": 1}}
    async with relayed(rabbitmq_server, **queues) as (engine, relay):
        calls: list[Call] = []
        engine.core.add_function("work", calls.append, module="test")
        for queue in queues:
            await engine.enqueue(queue, "work", queue, delay_ms=20)
        await until(lambda: len(calls) == 2)
        before = relay.count("basic.publish")
        relay.hang()
        with monkeypatch.context() as patch:
            for module in (link, connection, publisher):
                patch.setattr(module, "ANSWER_SECONDS", 0.2)
            for call in calls:
                call.fail("broken", "no")
            await until(lambda: relay.count("basic.publish") == before + 2)
            for _ in range(5):  # each takes as long as an answer is waited for
                with pytest.raises(BusError, match="no answer"):
                    await engine.stats("r")
        assert relay.count("basic.publish") == before + 2
        relay.go_on()
        await until(lambda: len(calls) == 3)
        await until(lambda: holds(engine, "d", (0, 1)))
        calls[2].reply()
        await until(lambda: holds(engine, "r", (0, 0)))
        assert len(calls) == 3


async def test_who_published_as_an_alarm_began_does_not_wait_for_its_end(
    rabbitmq_server: RabbitServer,
) -> None:
    async with relayed(rabbitmq_server) as (engine, relay):
        heard = engine.function("work")
        await engine.enqueue("default", "work", 1)
        before = relay.count("basic.publish")
        relay.hang()
        publishing = asyncio.create_task(engine.enqueue("default", "work", 2))
        await until(lambda: relay.count("basic.publish") == before + 1)
        relay.say(ALARM)
        with pytest.raises(BusError, match=r"low on memory; what was sent may be stored later"):
            await publishing
        relay.go_on()
        relay.say(frame(UNBLOCKED))
        await until(lambda: heard == [1, 2])


async def test_during_an_alarm_nothing_is_sent(rabbitmq_server: RabbitServer) -> None:
    async with relayed(rabbitmq_server, r={"max_retries": 2}) as (engine, relay):
        calls: list[Call] = []
        engine.core.add_function("work", calls.append, module="test")
        for n in range(2):
            await engine.enqueue("r", "work", n)
        await until(lambda: len(calls) == 2)
        relay.say(ALARM)
        await until(lambda: "takes no messages now: low on memory" in engine.status)
        before = relay.count("basic.publish")
        for refused in (
            engine.enqueue("r", "work", 3),
            engine.enqueue("r", "work", 3, delay_ms=50),
            engine.ask("iii::durable::publish", {"topic": "t", "data": 1}),
            engine.ask("iii::queue::redrive", {"queue": "r"}),
        ):
            with pytest.raises(BusError, match="takes no messages now: low on memory"):
                await refused
        calls[0].fail("broken", "no")
        acknowledged = relay.count("basic.ack")
        calls[1].reply()  # that needs no message
        await until(lambda: relay.count("basic.ack") == acknowledged + 1)
        assert relay.count("basic.publish") == before
        relay.say(frame(UNBLOCKED))
        await until(lambda: len(calls) == 3)
        calls[2].reply()
        await until(lambda: holds(engine, "r", (0, 0)))
        assert engine.status == "running"
