"""Jobs that other programs put into a server's queue: none spoils the frames of workers."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import aio_pika
import msgspec
import nats
import pytest
from redis.asyncio import Redis
from tests.support.queue_engine import Shared, has_dead, shared
from tests.support.servers import Server
from tests.support.waiting import until

from iii_engine.modules.queue.job import foreign_dead, foreign_job, read_dead
from iii_engine.modules.queue.rabbitmq import messages
from iii_engine.modules.queue.redis import kept

DEEP = b"[" * 300 + b"]" * 300
VERY_DEEP = b"[" * 10_000 + b"]" * 10_000
ENDLESS = b"1" * 5000


def record(field: str, text: bytes) -> bytes:
    fields = {"data": b"1", "metadata": b"{}", field: text}
    members = b",".join(b'"%b":%b' % (name.encode(), value) for name, value in fields.items())
    return b'{"id":"1","created_at":1,' + members + b"}"


@pytest.mark.parametrize("field", ["data", "metadata"])
@pytest.mark.parametrize("text", [DEEP, VERY_DEEP, ENDLESS])
def test_a_record_that_readers_fail_at_is_no_job(field: str, text: bytes) -> None:
    for read in (foreign_job, lambda job: kept.job_of("1", job, b"")):
        with pytest.raises(msgspec.DecodeError):
            read(record(field, text))
    dead = b'{"job":' + record(field, text) + b',"error":"e","failed_at":2}'
    with pytest.raises(msgspec.DecodeError):
        foreign_dead(dead)
    shown = read_dead("1", dead, foreign_dead)
    assert shown.error.startswith("unreadable: ")
    assert msgspec.json.decode(shown.job.data) == dead.decode()


@pytest.mark.parametrize(
    ("body", "metadata"),
    [
        (DEEP, "1"),
        (VERY_DEEP, "1"),
        (ENDLESS, "1"),
        (b"no json", "1"),
        (b'"\xff"', "1"),
        (b"1", "no json"),
        (b"1", DEEP.decode()),
        (b"1", ENDLESS.decode()),
        (b"1", '"\udcff"'),
    ],
)
@pytest.mark.parametrize("created_at", [0, 1])
def test_a_message_that_readers_fail_at_is_no_job(
    body: bytes, metadata: str, created_at: int
) -> None:
    headers = {"x-created-at": created_at, "x-metadata": metadata}
    message: Any = SimpleNamespace(body=body, headers=headers, message_id="1")
    with pytest.raises(msgspec.DecodeError):
        messages.job_of(message, "2")


async def spoil_one(kind: str, url: str, engine: Shared) -> None:
    """Put what is no job beside the dead ones, or in place of the one whose payload is 0."""
    if kind == "redis":
        async with Redis.from_url(url) as redis:
            base = "iii:queue:__fn_queue::q"
            await redis.hset(f"{base}:jobs", (await redis.lindex(f"{base}:dlq", -1)), "no job")
    elif kind == "nats":
        client = await nats.connect(url)
        streams = await client.jetstream().streams_info()
        used = (s.config.name for s in streams if s.state.messages)
        (dead,) = (name for name in used if name and name.endswith("_dead"))
        await client.jetstream().publish(f"{dead}.foreign", b"no job")
        await client.close()
    else:
        queues: Any = engine.app.modules["iii-queue"]
        prefix = queues.options.adapter.config["prefix"]
        connection = await aio_pika.connect(url)
        channel = await connection.channel()
        message = aio_pika.Message(b"no job")
        await channel.default_exchange.publish(message, f"{prefix}.__fn_queue::q::dlq.queue")
        await connection.close()


@pytest.mark.parametrize("kind", ["redis", "nats", "rabbitmq"])
async def test_dead_jobs_are_shown_and_redriven_beside_what_is_none(
    kind: str, request: pytest.FixtureRequest
) -> None:
    server: Server = request.getfixturevalue(f"{kind}_server")
    async with shared(server, q={"max_retries": 1}) as (engine,):
        heard = engine.function("work", "no", "no")
        for number in range(2):
            await engine.enqueue("q", "work", number)
            await until(lambda number=number: has_dead(engine, "q", number + 1))  # type: ignore[misc]
        await spoil_one(kind, server.url, engine)
        shown = [dead["payload"] for dead in await engine.dead("q")]
        assert [n for n in shown if n != "no job"] == ([1] if kind == "redis" else [1, 0])
        redriven = await engine.ask("iii::queue::redrive", {"queue": "q"})
        assert redriven["redriven"] == 2
        await until(lambda: heard[2:3] == [1] if kind == "redis" else sorted(heard[2:]) == [0, 1])
