"""Calls of an instance: functions, queues, channels, and what is there to be called."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import msgspec

from iii_sdk.channels import ChannelRefs
from iii_sdk.compat.channels import Channel
from iii_sdk.compat.discovery import (
    FunctionInfo,
    TriggerInfo,
    TriggerTypeInfo,
    WorkerInfo,
    functions,
    rows,
)
from iii_sdk.compat.link import Link
from iii_sdk.compat.messages import TriggerRequest
from iii_sdk.compat.requests import Requests, request_of
from iii_sdk.compat.results import PendingCall
from iii_sdk.protocol import EnqueueAction, VoidAction


class Caller(ABC):
    """The half of the client that asks. It waits for answers where that blocks nobody else."""

    def __init__(self, link: Link, requests: Requests) -> None:
        self._link = link
        self._requests = requests

    @abstractmethod
    def may_block(self) -> bool:
        """Whether the current thread may wait for a call."""

    def trigger(
        self,
        request: str | TriggerRequest | Mapping[str, Any],
        data: Any = None,
        *,
        action: EnqueueAction | VoidAction | Mapping[str, Any] | None = None,
        timeout_ms: int | None = None,
    ) -> Any:
        """Call a function.

        `trigger("id", data)` starts the call and returns a `PendingCall`: await it on any loop, or
        `.result()`. `trigger({"function_id": …, "payload": …})` waits and returns the result; in an
        async handler, where that would block the others, it returns a `PendingCall` too.
        `action` `TriggerAction.Enqueue(queue="q")` gives `{"messageReceiptId": id}`,
        `TriggerAction.Void()` None. `timeout_ms` None or 0 is the default, -1 none.
        Raises `IIITimeoutError`, `IIIForbiddenError`, `IIIInvocationError`.
        """
        call = self._requests.start(request_of(request, data, action, timeout_ms))
        return call if isinstance(request, str) or not self.may_block() else call.result()

    async def trigger_async(
        self,
        request: str | TriggerRequest | Mapping[str, Any],
        data: Any = None,
        *,
        action: EnqueueAction | VoidAction | Mapping[str, Any] | None = None,
        timeout_ms: int | None = None,
    ) -> Any:
        """As `trigger` in both forms, as a coroutine for any loop."""
        return await self._requests.start(request_of(request, data, action, timeout_ms))

    def trigger_void(self, function_id: str, data: Any = None) -> None:
        """Call without an answer. Never raises for the state of the connection."""
        self._requests.send(function_id, data)

    def enqueue(self, queue: str, function_id: str, data: Any = None) -> PendingCall[Any]:
        """Put a call on a named queue; the result is `{"messageReceiptId": id}`."""
        action = EnqueueAction(queue)
        return self._requests.start(
            TriggerRequest(function_id=function_id, payload=data, action=action)
        )

    def create_channel(self, buffer_size: int | None = None) -> Any:
        """Create a `Channel`. Blocks; in an async handler it returns a `PendingCall` instead.

        `buffer_size` is in frames, 1 to 1024; the default is 64.
        """
        call = self._channel(buffer_size)
        return call.result() if self.may_block() else call

    async def create_channel_async(self, buffer_size: int | None = None) -> Channel:
        """As `create_channel`, for any loop."""
        return await self._channel(buffer_size)

    def _channel(self, buffer_size: int | None) -> PendingCall[Channel]:
        def read(result: Any) -> Channel:
            return Channel(self._link, msgspec.convert(result, ChannelRefs))

        return self._requests.ask("engine::channels::create", {"buffer_size": buffer_size}, read)

    def list_functions(self, include_internal: bool = False) -> PendingCall[list[FunctionInfo]]:
        """The functions on the bus."""
        return self._requests.ask(
            "engine::functions::list",
            {"include_internal": include_internal},
            functions(include_internal),
        )

    def list_workers(self, worker_id: str | None = None) -> PendingCall[list[WorkerInfo]]:
        """The workers on the bus, or the one of this id."""
        return self._requests.ask(
            "engine::workers::list", {"worker_id": worker_id}, rows(WorkerInfo, "workers")
        )

    def list_triggers(self, include_internal: bool = False) -> PendingCall[list[TriggerInfo]]:
        """The registered triggers."""
        return self._requests.ask(
            "engine::triggers::list",
            {"include_internal": include_internal, "view": "instances"},
            rows(TriggerInfo, "triggers"),
        )

    def list_trigger_types(
        self, include_internal: bool = False
    ) -> PendingCall[list[TriggerTypeInfo]]:
        """The types of trigger that can be used."""
        return self._requests.ask(
            "engine::trigger-types::list",
            {"include_internal": include_internal},
            rows(TriggerTypeInfo, "trigger_types"),
        )
