"""A bus in memory: functions are entries of a dictionary, everything called is written down."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any, cast

import msgspec
from msgspec import Raw

from iii_sdk import Bus, BusError, State
from iii_sdk.codec import read_result


def plain(value: object) -> Any:
    """What arrives on the other side."""
    return msgspec.json.decode(msgspec.json.encode(value))


class FakeBus:
    """`functions` maps an id to its result, to an error to raise, or to a (coroutine) function of
    the payload. The state and the list of functions are there; the rest is `function_not_found`.
    """

    def __init__(self, functions: dict[str, Any] | None = None) -> None:
        self.functions: dict[str, Any] = functions or {}
        self.stored: dict[tuple[str, str], Any] = {}
        #: `(id, payload)` of everything called or sent, in order.
        self.calls: list[tuple[str, Any]] = []
        self.published: list[tuple[str, Any]] = []
        self.state = State(self.call)
        self._engine = {
            "engine::functions::list": self._list,
            "state::get": lambda p: self.stored.get((p["scope"], p["key"])),
            "state::set": self._set,
            "state::delete": lambda p: self.stored.pop((p["scope"], p["key"]), None),
            "state::list": lambda p: [v for (s, _), v in self.stored.items() if s == p["scope"]],
            "state::update": self._update,
        }

    @property
    def bus(self) -> Bus:
        return cast(Bus, self)

    def of(self, function_id: str) -> list[Any]:
        """The payloads a function was called with."""
        return [data for called, data in self.calls if called == function_id]

    async def call(
        self, function_id: str, data: object = None, *, kind: Any = None, timeout: float | None = 30
    ) -> Any:
        payload = plain(data)
        self.calls.append((function_id, payload))
        handler = self.functions.get(function_id, self._engine.get(function_id, _absent))
        if handler is _absent:
            raise BusError(f"Function {function_id} not found", code="function_not_found")
        result = handler(payload) if callable(handler) else handler
        if inspect.isawaitable(result):
            result = await result
        if isinstance(result, BaseException):
            raise result
        await asyncio.sleep(0)
        return read_result(Raw(msgspec.json.encode(result)), kind, function_id)

    def send(self, function_id: str, data: object = None) -> None:
        self.calls.append((function_id, plain(data)))

    def publish(self, topic: str, data: object = None) -> None:
        self.published.append((topic, plain(data)))

    def _list(self, payload: Any) -> Any:
        rows = {"description": None, "request_format": None, "response_format": None}
        return {
            "functions": [
                {"function_id": i, **rows, "metadata": None} for i in sorted(self.functions)
            ]
        }

    def _set(self, payload: Any) -> Any:
        key = (payload["scope"], payload["key"])
        old = self.stored.get(key)
        if payload.get("if_absent") and old is not None:
            return {"old_value": old, "new_value": old, "set": False}
        self.stored[key] = payload["value"]
        return {"old_value": old, "new_value": payload["value"]}

    def _update(self, payload: Any) -> Any:
        """Increments and decrements of first-level fields, with `expect`."""
        key = (payload["scope"], payload["key"])
        old = dict(self.stored.get(key) or {})
        if any(old.get(name) != value for name, value in payload.get("expect", {}).items()):
            return {"old_value": old, "new_value": old, "applied": False}
        new = dict(old)
        for op in payload["ops"]:
            sign = 1 if op["type"] == "increment" else -1
            new[op["path"]] = new.get(op["path"], 0) + sign * op["by"]
        self.stored[key] = new
        return {"old_value": old, "new_value": new}


_absent = object()
