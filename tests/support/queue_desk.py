"""A bus with the queue module, on a virtual clock: jobs run when the test lets them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from msgspec import Raw
from tests.support.desk import Desk, running

from iii_engine.core.clock import VirtualClock
from iii_engine.core.router import Call
from iii_engine.modules.queue import QueueModule
from iii_engine.storage.memory import MemoryStore
from iii_sdk.errors import BusError
from iii_sdk.protocol import EnqueueAction, ErrorBody


class QueueDesk:
    """Calls and handlers of a `Desk`; `settle` runs what is ready, `advance` what is due."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.ask = desk.ask
        self.handler = desk.handler
        self.bind = desk.bind
        self.payloads = desk.payloads
        self.store = desk.store
        self.engine = desk.engine
        self.clock = desk.clock

    @property
    def module(self) -> QueueModule:
        assert isinstance(self.desk.module, QueueModule)
        return self.desk.module

    def enqueue(self, queue: str, function_id: str, data: object = None, **options: Any) -> str:
        """The action `enqueue` of a call; the id of the receipt."""
        answers: list[tuple[Raw, ErrorBody | None]] = []
        call = Call(self.engine.router, function_id, Raw(json.dumps(data).encode()))
        call.on_answer = lambda *answer: answers.append(answer)
        self.engine.router.accept(call)
        assert self.engine.enqueue is not None
        self.engine.enqueue(call, EnqueueAction(queue=queue, **options))
        ((result, error),) = answers
        if error is not None:
            raise BusError(error.message, code=error.code)
        receipt: str = json.loads(bytes(result))["messageReceiptId"]
        return receipt

    def publish(self, topic: str, data: object = None, **options: Any) -> Any:
        return self.ask("iii::durable::publish", {"topic": topic, "data": data, **options})

    def failing(self, function_id: str, *errors: str | None) -> list[float]:
        """A function that fails with these errors in turn, then answers; when it was called, in
        seconds from now."""
        began, times, left = self.clock.monotonic_ns(), [], list(errors)

        def handle(call: Call) -> None:
            times.append((self.clock.monotonic_ns() - began) / 1e9)
            error = left.pop(0) if left else None
            if error is None:
                call.reply()
            else:
                call.fail("broken", error)

        self.engine.add_function(function_id, handle, module="test")
        return times

    def trigger(self, trigger_id: str, topic: str, function_id: str, **config: Any) -> None:
        problem = self.bind(trigger_id, function_id, {"topic": topic, **config})
        assert problem is None

    def stats(self, topic: str) -> dict[str, int]:
        """Waiting, active, delayed and dead jobs."""
        found = self.ask("engine::queue::topic_stats", {"topic": topic, "details": True})
        return {name: found[name] for name in ("waiting", "active", "delayed", "dlq_depth")}

    def dead(self, topic: str) -> list[Any]:
        found: list[Any] = self.ask("engine::queue::dlq_messages", {"topic": topic})
        return found

    async def settle(self) -> None:
        """Let happen what does not need time."""
        for _ in range(12):
            await asyncio.sleep(0)

    async def advance(self, seconds: float) -> None:
        """Let time pass, and everything happen that is due meanwhile, each at its time."""
        await self.settle()
        now = self.clock.monotonic_ns
        end = now() + round(seconds * 1e9)
        while (due := self.engine.next_deadline_ns()) is not None and due <= end:
            self.clock.advance(max(0, due - now()) / 1e9)
            self.engine.advance()
            await self.settle()
        self.clock.advance((end - now()) / 1e9)


@asynccontextmanager
async def queue_desk(
    options: dict[str, Any] | None = None,
    *,
    clock: VirtualClock | None = None,
    store: MemoryStore | None = None,
) -> AsyncIterator[QueueDesk]:
    """The module, started; it is stopped at the end."""
    async with running(
        QueueModule, options, trigger_type="durable:subscriber", clock=clock, store=store
    ) as desk:
        yield QueueDesk(desk)
