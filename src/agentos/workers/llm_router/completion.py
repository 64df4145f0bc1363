"""Completions: a target, its driver at work under retry and a time limit, the result counted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager, aclosing, suppress
from typing import Protocol

import msgspec

from agentos.workers.llm_router.accounting import Accounts, Outlet
from agentos.workers.llm_router.conversation import Prompt, Reply, ToolCall
from agentos.workers.llm_router.drivers import Drivers
from agentos.workers.llm_router.drivers.base import Driver
from agentos.workers.llm_router.failures import too_slow
from agentos.workers.llm_router.keys import Vault
from agentos.workers.llm_router.requests import CompleteRequest, Completion
from agentos.workers.llm_router.retry import Retry
from agentos.workers.llm_router.targets import Target, Targets, prompt_for
from iii_sdk.errors import BusError, Unavailable


class Writer(Protocol):
    """The end of a channel that takes the events of a stream."""

    async def send_text(self, text: str) -> None:
        """Send one frame."""

    async def close(self) -> None:
        """End the channel."""

    def while_read(self) -> AbstractAsyncContextManager[None]:
        """Ends its block when the reader leaves. Raises `Unavailable`, `channel_closed`."""


class Completions:
    """What `llm::complete` and `llm::stream` do."""

    def __init__(
        self, targets: Targets, drivers: Drivers, accounts: Accounts, retry: Retry
    ) -> None:
        self._targets = targets
        self._drivers = drivers
        self._accounts = accounts
        self._retry = retry

    async def complete(
        self, request: CompleteRequest, vault: Vault | None, bus: Outlet
    ) -> Completion:
        """One answer, whole. Raises `InvalidInput`, `NotConfigured` and the provider's failures."""
        started = time.monotonic()
        target = await self._targets.find(request.wish, vault)
        prompt = prompt_for(target, request)
        driver = await self._drivers.get(target.endpoint.provider.driver)
        seconds = request.timeout_ms / 1000
        try:
            async with asyncio.timeout(seconds):
                reply = await self._retry.run(
                    lambda: driver.complete(target.endpoint, prompt), seconds
                )
        except TimeoutError:
            raise too_slow(target.endpoint.label, seconds) from None
        return await self._finish(target, reply, started, bus)

    async def stream(
        self, request: CompleteRequest, writer: Writer, vault: Vault | None, bus: Outlet
    ) -> Completion:
        """The same with events on a channel, which is closed at the end whatever happens.

        A reader that leaves ends the request: nobody pays for text that nobody reads.
        """
        started = time.monotonic()
        try:
            return await self._stream(request, writer, vault, bus, started)
        except BusError as error:
            if error.code != "channel_closed":
                event = {"type": "error", "message": error.message, "code": error.code}
                with suppress(Unavailable):  # the reader may have gone as well
                    await _write(writer, event)
            raise
        finally:
            await writer.close()

    async def _stream(
        self,
        request: CompleteRequest,
        writer: Writer,
        vault: Vault | None,
        bus: Outlet,
        started: float,
    ) -> Completion:
        target = await self._targets.find(request.wish, vault)
        prompt = prompt_for(target, request)
        driver = await self._drivers.get(target.endpoint.provider.driver)
        start = {"type": "start", "model": target.model, "provider": target.endpoint.label}
        await _write(writer, start)
        relay = _Relay(driver, target, prompt, writer)
        seconds = request.timeout_ms / 1000
        try:
            async with asyncio.timeout(seconds), writer.while_read():
                reply = await self._retry.run(relay.run, seconds, lambda: not relay.emitted)
        except TimeoutError:
            raise too_slow(target.endpoint.label, seconds) from None
        await _write(writer, {"type": "usage", **msgspec.to_builtins(reply.usage)})
        await _write(writer, {"type": "end", "stopReason": reply.stop_reason})
        return await self._finish(target, reply, started, bus)

    async def _finish(
        self, target: Target, reply: Reply, started: float, bus: Outlet
    ) -> Completion:
        await self._accounts.record(target.endpoint.label, target.model, reply, bus)
        return Completion(
            content=reply.text,
            model=reply.model or target.model,
            provider=target.endpoint.label,
            tool_calls=[call.wire() for call in reply.calls],
            usage=reply.usage,
            stop_reason=reply.stop_reason,
            duration_ms=round((time.monotonic() - started) * 1000),
        )


class _Relay:
    """Carries one stream from the driver to the channel; says whether anything was carried yet."""

    def __init__(self, driver: Driver, target: Target, prompt: Prompt, writer: Writer) -> None:
        self.emitted = False
        self._driver = driver
        self._target = target
        self._prompt = prompt
        self._writer = writer

    async def run(self) -> Reply:
        """Read the stream to its end and return its last item, the reply."""
        async with aclosing(self._driver.stream(self._target.endpoint, self._prompt)) as items:
            async for item in items:
                if isinstance(item, Reply):
                    return item
                self.emitted = True
                if isinstance(item, ToolCall):
                    await _write(self._writer, {"type": "tool_call", **item.wire()})
                else:
                    await _write(self._writer, {"type": "text", "delta": item})
        raise AssertionError("unreachable: every stream ends with its reply")


async def _write(writer: Writer, event: Mapping[str, object]) -> None:
    """One event, one line, one frame."""
    await writer.send_text(msgspec.json.encode(event).decode() + "\n")
