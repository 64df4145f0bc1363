"""What every adapter does for several engines on one server, and what it has no means for."""

from __future__ import annotations

import msgspec
import pytest
from tests.support.queue_engine import KINDS, holds, knows, shared
from tests.support.raw_worker import RawWorker
from tests.support.servers import RedisServer, Server
from tests.support.waiting import until

from iii_engine.modules.queue import QueueModule
from iii_sdk.errors import BusError


async def test_a_topic_reaches_the_functions_of_all_engines(server: Server) -> None:
    async with shared(server, 2) as (one, two), RawWorker(two.url) as worker:
        await one.ask("iii::durable::publish", {"topic": "t", "data": "early"})
        await one.ask("iii::durable::publish", {"topic": "t", "data": "too", "delay_ms": 100})
        await worker.register("x")
        await worker.register_trigger("durable:subscriber", "x", {"topic": "t"})
        heard = set[str]()
        while len(heard) < 2:
            call = await worker.invoked("x")
            heard.add(call["data"])
            await worker.answer(call)
        assert heard == {"early", "too"}
        await until(lambda: knows(two, "t"))
        await one.ask("iii::durable::publish", {"topic": "t", "data": "later"})
        call = await worker.invoked("x")
        assert call["data"] == "later"
        await worker.answer(call)
        await until(lambda: holds(two, "t", (0, 0)))


@pytest.mark.parametrize(
    ("kind", "option"),
    [
        ("nats", "key_concurrency"),
        ("nats", "key_rate_limit"),
        ("rabbitmq", "key_concurrency"),
        ("rabbitmq", "key_rate_limit"),
        ("redis", "key_rate_limit"),
    ],
)
def test_limits_of_groups_that_a_server_has_no_means_for_are_refused(
    kind: str, option: str
) -> None:
    config = {"adapter": {"name": kind}, "queue_configs": {"q": {option: 1}}}
    refusal = rf"\$.queue_configs.q.{option}: not possible with the adapter '{kind}'"
    with pytest.raises(BusError, match=refusal):
        QueueModule.check(msgspec.convert(config, QueueModule.Options))


async def test_limits_of_keys_are_refused(server: Server) -> None:
    limit = "keyRateLimit" if isinstance(server, RedisServer) else "keyConcurrency"
    async with shared(server) as (engine,):
        refused = engine.bind("t", "work", {limit: 1})
        assert refused is not None
        assert refused.code == "unsupported_by_adapter"
        assert f"not possible with the adapter '{KINDS[type(server)]}'" in refused.message
