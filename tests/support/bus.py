"""The bus without sockets or a running clock, for tests of the core."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from iii_engine.core.access import Access, Rules
from iii_engine.core.clock import SeededIds, VirtualClock
from iii_engine.core.engine import Engine
from iii_engine.core.grants import OPEN, Grant
from iii_engine.net.memory import MemoryPeer


class Peer(MemoryPeer):
    """A worker that speaks in dictionaries."""

    def __init__(self, engine: Engine, ip: str = "memory", access: Access | None = None) -> None:
        super().__init__(engine, ip, access)
        (hello,) = self.inbox()
        self.id: str = hello["worker_id"]
        self.token: str = hello["reattach_token"]

    def inbox(self) -> list[dict[str, Any]]:
        return [json.loads(frame) for frame in self.receive()]

    def tell(self, type: str, **fields: Any) -> None:
        self.send(json.dumps({"type": type, **fields}).encode())

    def offer(self, *function_ids: str) -> None:
        for function_id in function_ids:
            self.tell("registerfunction", id=function_id)

    def describe(self, **metadata: Any) -> None:
        """Report metadata as the SDKs do, without the engine function for it."""
        for field, value in metadata.items():
            setattr(self.session.metadata, field, value)
        self.session.regroup()

    def ask(
        self, function_id: str, data: Any = None, call: str | None = None, **fields: Any
    ) -> str:
        """Call a function; returns the invocation id."""
        call = call or self._engine.ids.uuid()
        self.tell(
            "invokefunction", invocation_id=call, function_id=function_id, data=data, **fields
        )
        return call

    def answer(self, invocation: dict[str, Any], **fields: Any) -> None:
        self.tell("invocationresult", invocation_id=invocation["invocation_id"], **fields)

    def only(self) -> dict[str, Any]:
        (message,) = self.inbox()
        return message

    def received(self) -> list[Any]:
        """The results or error codes of the answers that came."""
        return [
            answer["error"]["code"] if "error" in answer else answer.get("result")
            for answer in self.inbox()
        ]


class Bus:
    """An engine with a clock that only the test moves."""

    def __init__(self, **options: Any) -> None:
        self.clock = VirtualClock()
        self.engine = Engine(self.clock, SeededIds(1), **options)

    def peer(self, *offers: str, ip: str = "memory") -> Peer:
        peer = Peer(self.engine, ip)
        peer.offer(*offers)
        return peer

    def guarded(self, rules: Rules, grant: Grant = OPEN) -> Peer:
        """A worker that these rules admitted with this grant."""
        self.engine.reliance.name(rules, rules.gatekeepers)
        return Peer(self.engine, access=Access(rules, grant, self.engine.registry))

    def wait(self, seconds: float) -> None:
        """Let time pass and do what became due."""
        self.clock.advance(seconds)
        self.engine.advance()

    def call(self, function_id: str, data: Any = None, **options: Any) -> list[Any]:
        """Call in the engine's own name; the list receives `(result, error code)`."""
        answers: list[Any] = []

        def on_answer(result: Any, error: Any) -> None:
            answers.append((json.loads(bytes(result)), error and error.code))

        self.engine.call(function_id, json.dumps(data).encode(), on_answer, **options)
        return answers


def replying(value: Any) -> Callable[[Any], None]:
    """A handler of an in-process function that always answers the same."""
    return lambda call: call.reply(json.dumps(value).encode())
