"""Engines with a bridge: calls as a module makes them, and functions that remember theirs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from tests.support.engine import RunningEngine
from tests.support.waiting import until

from iii_engine.core.router import Call
from iii_engine.modules.bridge import BridgeModule
from iii_sdk.errors import BusError

#: Starts an engine with a bridge of these options.
Start: TypeAlias = Callable[..., Awaitable[RunningEngine]]


def bridge(engine: RunningEngine, name: str = "iii-bridge") -> BridgeModule:
    module = engine.app.modules[name]
    assert isinstance(module, BridgeModule)
    return module


async def connected(engine: RunningEngine) -> None:
    link = bridge(engine).link
    assert link is not None
    await until(lambda: link.connected, "the bridge is connected")


async def ask(engine: RunningEngine, function_id: str, data: object = None, **options: Any) -> Any:
    """Call as a module does; the result, or the error as `BusError` with its details."""
    answered: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    engine.core.call(
        function_id,
        json.dumps(data).encode(),
        lambda result, error: answered.set_result((result, error)),
        **options,
    )
    result, error = await answered
    if error is not None:
        failed = BusError(error.message, code=error.code)
        failed.details = error.details
        raise failed
    return json.loads(bytes(result))


class Seen:
    """A call that a function got, and what it was called with."""

    def __init__(self, call: Call) -> None:
        self.payload = json.loads(bytes(call.data))
        self.about = bytes(call.metadata)
        self.traceparent, self.baggage = call.traceparent, call.baggage
        self.reply = call.reply


def provide(engine: RunningEngine, function_id: str, answer: object = "ok") -> list[Seen]:
    """A function that remembers its calls; an exception as `answer` fails them."""
    calls: list[Seen] = []

    def handle(call: Call) -> None:
        calls.append(Seen(call))
        if isinstance(answer, BusError):
            call.fail(answer.code, answer.message)
        elif answer is not None:
            call.reply(json.dumps(answer).encode())

    engine.core.add_function(function_id, handle, module="test")
    return calls


async def listed(engine: RunningEngine, function_id: str) -> bool:
    functions = (await ask(engine, "engine::functions::list"))["functions"]
    return function_id in {row["function_id"] for row in functions}
