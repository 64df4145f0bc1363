"""A bus with the state module on a store in memory, driven without sockets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from msgspec import Raw

from iii_engine.core.clock import SeededIds, VirtualClock
from iii_engine.core.engine import Engine
from iii_engine.core.router import Call
from iii_engine.core.triggers import Trigger
from iii_engine.modules.base import Host
from iii_engine.modules.state import StateModule
from iii_engine.modules.state.options import StateOptions
from iii_engine.storage.memory import MemoryStore
from iii_sdk.errors import BusError
from iii_sdk.protocol import NULL, ErrorBody


@dataclass
class Desk:
    """Calls functions of the engine and reads what they answer."""

    engine: Engine
    module: StateModule
    heard: dict[str, list[Any]] = field(default_factory=dict)

    def ask(self, function_id: str, data: object = None) -> object:
        """The result of a call that is answered at once; its error is raised."""
        answers: list[tuple[Raw, ErrorBody | None]] = []
        self.engine.call(
            function_id, json.dumps(data).encode(), lambda *answer: answers.append(answer)
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

    def bind(self, trigger_id: str, function_id: str, config: object = None) -> ErrorBody | None:
        raw = NULL if config is None else Raw(json.dumps(config).encode())
        return self.engine.triggers.add(Trigger(trigger_id, "state", function_id, raw, NULL, None))

    def payloads(self, function_id: str) -> list[Any]:
        """What the function was called with."""
        return self.heard[function_id]


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    engine = Engine(VirtualClock(), SeededIds(1))
    host = Host(engine, MemoryStore(), asyncio.get_running_loop())
    module = StateModule("iii-state", StateOptions(), host)
    await module.start()
    yield Desk(engine, module)
    await module.stop()
