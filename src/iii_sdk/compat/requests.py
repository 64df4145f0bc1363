"""Calls that the program makes, in any of the forms it may say them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any, TypeVar

from iii_sdk import frames
from iii_sdk.compat.errors import published
from iii_sdk.compat.link import Link
from iii_sdk.compat.messages import TriggerRequest
from iii_sdk.compat.results import PendingCall, completed, dump
from iii_sdk.errors import BusError
from iii_sdk.protocol import EnqueueAction, VoidAction

T = TypeVar("T")


def request_of(
    request: str | TriggerRequest | Mapping[str, Any],
    data: Any = None,
    action: EnqueueAction | VoidAction | Mapping[str, Any] | None = None,
    timeout_ms: int | None = None,
) -> TriggerRequest:
    """One request of either form. Raises `TypeError` and `ValueError`."""
    if isinstance(request, str):
        request = TriggerRequest(
            function_id=request, payload=data, action=action, timeout_ms=timeout_ms
        )
    elif isinstance(request, Mapping):
        request = _of_mapping(request)
    elif not isinstance(request, TriggerRequest):
        raise TypeError(
            f"expected a function id, a dict or a TriggerRequest, got {type(request).__name__}"
        )
    if not isinstance(request.function_id, str) or not request.function_id:
        raise ValueError("function_id: expected a non-empty str")
    return request


def _of_mapping(fields: Mapping[str, Any]) -> TriggerRequest:
    unknown = fields.keys() - {"function_id", "payload", "action", "timeout_ms"}
    if unknown:
        raise ValueError(f"unknown field {min(unknown)!r} in a request")
    return TriggerRequest(
        function_id=fields.get("function_id", ""),
        payload=fields.get("payload"),
        action=fields.get("action"),
        timeout_ms=fields.get("timeout_ms"),
    )


class Requests:
    """Starts calls. `timeout_ms` is the default; `may_block` goes to their `PendingCall`."""

    def __init__(self, link: Link, timeout_ms: int, may_block: Callable[[], bool]) -> None:
        self._link = link
        self._timeout_ms = timeout_ms
        self._may_block = may_block

    def start(self, request: TriggerRequest) -> PendingCall[Any]:
        """Raises `IIIInvocationError` with `serialization_error`, `ValueError` for a bad action."""
        data = dump(request.payload)
        queue = _queue(request.action)
        if queue is None:
            self._link.send(request.function_id, data)
            return completed(None)
        action = _enqueue_action(queue) if queue else b""
        timeout = self._seconds(request.timeout_ms)
        future: Future[Any] = self._link.request(request.function_id, data, timeout, action)
        return PendingCall(future, self._may_block)

    def send(self, function_id: str, data: Any) -> None:
        """Call without an answer."""
        self._link.send(function_id, dump(data))

    def ask(self, function_id: str, data: Any, read: Callable[[Any], T]) -> PendingCall[T]:
        """Call a function of the engine and read its result."""
        future: Future[Any] = self._link.request(
            function_id, dump(data), self._seconds(None), b"", read
        )
        return PendingCall(future, self._may_block)

    def _seconds(self, timeout_ms: int | None) -> float | None:
        timeout_ms = timeout_ms or self._timeout_ms
        if timeout_ms == -1:
            return None
        if timeout_ms < 0:
            raise ValueError("timeout_ms: expected a number of milliseconds, or -1 for none")
        return timeout_ms / 1000


def _enqueue_action(queue: str) -> bytes:
    try:
        return frames.enqueue_action(queue)
    except BusError as error:
        raise published(error) from None


def _queue(action: EnqueueAction | VoidAction | Mapping[str, Any] | None) -> str | None:
    """The queue of a call, "" when it goes to the function at once, None when nobody waits."""
    if action is None:
        return ""
    if isinstance(action, VoidAction):
        return None
    if isinstance(action, EnqueueAction):
        return action.queue
    if isinstance(action, Mapping):
        if action.get("type") == "void":
            return None
        queue = action.get("queue")
        if action.get("type") == "enqueue" and isinstance(queue, str) and queue:
            return queue
    raise ValueError("action: expected TriggerAction.Enqueue(queue=…) or TriggerAction.Void()")
