"""A bus with one module on a store in memory, driven without sockets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec
from msgspec import Raw

from iii_engine.core.clock import SeededIds, VirtualClock
from iii_engine.core.engine import Engine
from iii_engine.core.router import Call
from iii_engine.core.triggers import Trigger
from iii_engine.modules.base import Host, Module
from iii_engine.storage.memory import MemoryStore
from iii_sdk.errors import BusError
from iii_sdk.protocol import NULL, ErrorBody


@dataclass
class Desk:
    """Calls functions of the engine and reads what they answer; binds triggers of one type."""

    engine: Engine
    clock: VirtualClock
    store: MemoryStore
    module: Module[Any]
    trigger_type: str = ""
    heard: dict[str, list[Any]] = field(default_factory=dict)

    def ask(self, function_id: str, data: object = None, **context: Any) -> Any:
        """The result of a call that is answered at once; its error is raised."""
        answers: list[tuple[Raw, ErrorBody | None]] = []
        self.engine.call(
            function_id,
            json.dumps(data).encode(),
            lambda *answer: answers.append(answer),
            **context,
        )
        ((result, error),) = answers
        if error is not None:
            raise BusError(error.message, code=error.code)
        return json.loads(bytes(result))

    def handler(self, function_id: str, *, answer: bytes | None = b"null") -> list[Call]:
        """Register a function that remembers its calls, and answers them unless told not to."""
        calls: list[Call] = []
        heard = self.heard[function_id] = []

        def handle(call: Call) -> None:
            calls.append(call)
            heard.append(json.loads(bytes(call.data)))
            if answer is not None:
                call.reply(answer)

        self.engine.add_function(function_id, handle, module="test")
        return calls

    def bind(
        self, trigger_id: str, function_id: str, config: object = None, type: str | None = None
    ) -> ErrorBody | None:
        """Why it was refused, if it was."""
        raw = NULL if config is None else Raw(json.dumps(config).encode())
        trigger = Trigger(trigger_id, type or self.trigger_type, function_id, raw, NULL, None)
        return self.engine.triggers.add(trigger)

    def payloads(self, function_id: str) -> list[Any]:
        """What the function was called with."""
        return self.heard[function_id]

    def advance(self, seconds: float) -> None:
        """Let time pass, and everything happen that is due meanwhile, each at its time."""
        now = self.clock.monotonic_ns
        end = now() + round(seconds * 1e9)
        while (due := self.engine.next_deadline_ns()) is not None and due <= end:
            self.clock.advance(max(0, due - now()) / 1e9)
            self.engine.advance()
        self.clock.advance((end - now()) / 1e9)


@asynccontextmanager
async def running(
    kind: type[Module[Any]],
    options: dict[str, Any] | None = None,
    *,
    trigger_type: str = "",
    clock: VirtualClock | None = None,
    store: MemoryStore | None = None,
) -> AsyncIterator[Desk]:
    """The module, started; it is stopped at the end."""
    clock = clock or VirtualClock()
    engine, store = Engine(clock, SeededIds(1)), store or MemoryStore()
    module = kind(
        kind.kind,
        msgspec.convert(options or {}, kind.Options),
        Host(engine, store, asyncio.get_running_loop()),
    )
    try:
        await module.start()
        yield Desk(engine, clock, store, module, trigger_type)
    finally:
        await module.stop()
