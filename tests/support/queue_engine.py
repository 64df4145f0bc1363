"""Engines whose queues are anywhere: in their own store, or on a server that they share."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final
from uuid import uuid4

from msgspec import Raw
from tests.support.engine import RunningEngine
from tests.support.servers import NatsServer, RabbitServer, RedisServer, Server
from tests.support.waiting import until

from iii_engine.core.router import Call
from iii_engine.core.triggers import Trigger
from iii_sdk.errors import BusError
from iii_sdk.protocol import NULL, EnqueueAction, ErrorBody

#: What an engine has a job for unless it says more. Short, since tests wait for its end; longer
#: than a busy machine or a slow disk stand still, since a job that is lent twice runs twice.
LEASE_MS: Final = 2000

#: The place of queues that are another engine's.
BRIDGE: Final = "bridge"

#: What brokers of tests are configured with, wherever they keep the jobs.
CONFIG: Final = {"backoff_ms": 50}
#: The adapter of each server.
KINDS: Final = {NatsServer: "nats", RedisServer: "redis", RabbitServer: "rabbitmq"}


def adapter_of(kind: str, url: str, **config: Any) -> dict[str, Any]:
    """The option `adapter` of a queue module with the server at this address."""
    option = "amqp_url" if kind == "rabbitmq" else f"{kind}_url"
    return {"name": kind, "config": {option: url, **config}}


class Shared(RunningEngine):
    """An engine whose queues are on a server, or in its own store where there is none.

    Those of one test have a `prefix` of their own in a RabbitMQ, which outlives the test.
    """

    def __init__(self, server: Server | str | None, prefix: str = "iii", **queues: Any) -> None:
        """`server` may be the address of another engine, which has the queues."""
        adapter: dict[str, Any] = {"name": "builtin", "config": {}}
        self.kind = "builtin"
        #: The engine that has the queues.
        self.home = self
        if isinstance(server, str):
            self.kind = "bridge"
            adapter = {"name": "bridge", "config": {"bridge_url": server}}
        elif server is not None:
            self.kind = KINDS[type(server)]
            own = {"prefix": prefix} if self.kind == "rabbitmq" else {"lease_ms": LEASE_MS}
            adapter = adapter_of(self.kind, server.url, **own)
        if self.kind != "bridge":
            adapter["config"] |= CONFIG
        super().__init__({"iii-queue": {"adapter": adapter, "queue_configs": queues}})

    @property
    def status(self) -> str:
        """How the queue module says it is."""
        return self.app.modules["iii-queue"].status()

    def function(self, function_id: str, *failures: str) -> list[Any]:
        """Register one that remembers its payloads, and fails so many times first."""
        heard, left = [], list(failures)

        def handle(call: Call) -> None:
            heard.append(json.loads(bytes(call.data)))
            if left:
                call.fail("broken", left.pop(0))
            else:
                call.reply()

        self.core.add_function(function_id, handle, module="test")
        return heard

    def bind(
        self, topic: str, function_id: str, config: object, *, trigger_id: str = "t1"
    ) -> ErrorBody | None:
        """Subscribe it; why that is refused."""
        raw = Raw(json.dumps({"topic": topic, "queue_config": config}).encode())
        return self.core.triggers.add(
            Trigger(trigger_id, "durable:subscriber", function_id, raw, NULL, None)
        )

    async def enqueue(self, queue: str, function_id: str, data: object, **options: Any) -> str:
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        call = Call(self.core.router, function_id, json.dumps(data).encode())
        call.on_answer = lambda result, error: answer.set_result((result, error))
        self.core.router.accept(call)
        assert self.core.enqueue is not None
        self.core.enqueue(call, EnqueueAction(queue=queue, **options))
        result, error = await answer
        if error is not None:
            raise BusError(error.message, code=error.code)
        receipt: str = json.loads(bytes(result))["messageReceiptId"]
        return receipt

    async def ask(self, function_id: str, data: object = None) -> Any:
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.core.call(
            function_id,
            json.dumps(data).encode(),
            lambda result, error: answer.set_result((result, error)),
        )
        result, error = await answer
        if error is not None:
            raise BusError(error.message, code=error.code)
        return json.loads(bytes(result))

    async def dead(self, topic: str) -> list[Any]:
        """The dead jobs, newest first."""
        found: list[Any] = await self.ask("engine::queue::dlq_messages", {"topic": topic})
        return found

    async def stats(self, topic: str) -> tuple[int, int]:
        """Jobs that wait or run, and dead ones."""
        found = await self.ask("engine::queue::topic_stats", {"topic": topic})
        return found["depth"], found["dlq_depth"]


@asynccontextmanager
async def shared(
    server: Server | str | None, count: int = 1, **queues: Any
) -> AsyncIterator[list[Shared]]:
    """Engines with these queues; with `BRIDGE` another engine has them."""
    if server == BRIDGE:
        async with shared(None, **queues) as (home,), shared(home.url, count) as engines:
            for engine in engines:
                engine.home = home
                await until(lambda engine=engine: engine.status == "running")  # type: ignore[misc]
            yield engines
        return
    prefix = f"test-{uuid4().hex[:12]}"
    engines = [Shared(server, prefix, **queues) for _ in range(count)]
    for engine in engines:
        await engine.start()
    try:
        yield engines
    finally:
        for engine in engines:
            await engine.stop()


async def holds(engine: Shared, queue: str, stats: tuple[int, int]) -> bool:
    return await engine.stats(queue) == stats


async def knows(engine: Shared, topic: str) -> bool:
    return any(t["name"] == topic for t in await engine.ask("engine::queue::list_topics"))


def lose(engine: Shared) -> None:
    """As if it were killed: nothing is renewed or answered any more."""
    module = engine.app.modules["iii-queue"]
    broker = module.broker  # type: ignore[attr-defined]
    if engine.kind != "redis":
        asyncio.get_running_loop().create_task(broker._connection.close())
    if engine.kind == "redis":
        broker.leases.close()
    elif engine.kind == "nats":
        broker._renewing.cancel()
    module.queues.close()  # type: ignore[attr-defined]


def running(engine: Shared) -> int:
    queues = engine.home.app.modules["iii-queue"].queues  # type: ignore[attr-defined]
    running: int = queues.running()
    return running


async def has_dead(engine: Shared, queue: str, count: int) -> bool:
    return len(await engine.dead(queue)) == count
