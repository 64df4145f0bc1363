"""The ends of data channels, for use on any thread and any event loop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeAlias, TypeVar

import msgspec
from msgspec import Raw

from iii_sdk import channels as core
from iii_sdk.compat.errors import published
from iii_sdk.compat.link import Link
from iii_sdk.compat.results import PendingCall
from iii_sdk.errors import BusError
from iii_sdk.protocol import ChannelRef

log = logging.getLogger("iii.sdk")

T = TypeVar("T")


class ChannelWriter:
    """The writing end. What is written from one thread leaves in order."""

    def __init__(self, link: Link, ref: ChannelRef) -> None:
        self.ref = ref
        self.stream = WritableStream(self)
        self._link = link
        self._end: core.ChannelWriter | None = None
        self._order = asyncio.Lock()

    async def write(self, data: bytes) -> None:
        """Send bytes, in frames of at most 64 KiB.

        Raises `IIIInvocationError` when nobody reads.
        """
        await self._do(self._write(data))

    def send_message(self, message: str) -> None:
        """Send a text frame; a failure is only logged."""
        self._begin(self._send(message))

    async def send_message_async(self, message: str) -> None:
        """Send a text frame. Raises `IIIInvocationError` when nobody reads."""
        await self._do(self._send(message))

    def close(self) -> None:
        """End the channel after what was written; a failure is only logged."""
        self._begin(self._close())

    async def close_async(self) -> None:
        """End the channel after what was written."""
        await self._do(self._close())

    def to_wire(self) -> ChannelRef:
        """In a payload it is its reference."""
        return self.ref

    def _do(self, work: Coroutine[Any, Any, T]) -> PendingCall[T]:
        return PendingCall(_submit(self._link, work))

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        _submit(self._link, work).add_done_callback(_log_failure)

    async def _write(self, data: bytes) -> None:
        async with self._order:
            await self._core().send_bytes(data)

    async def _send(self, message: str) -> None:
        async with self._order:
            await self._core().send_text(message)

    async def _close(self) -> None:
        async with self._order:
            await self._core().close()

    def _core(self) -> core.ChannelWriter:
        if self._end is None:
            self._end = core.ChannelWriter(self._link.connection.endpoint, self.ref)
        return self._end


class ChannelReader:
    """The reading end: an asynchronous iterator over bytes. Text frames go to `on_message`."""

    def __init__(self, link: Link, ref: ChannelRef) -> None:
        self.ref = ref
        self.stream = self
        self._link = link
        self._end: core.ChannelReader | None = None
        self._on_message: list[Callable[[str], object]] = []
        #: The frame being waited for; it outlives whoever stops waiting.
        self._next: Future[str | bytes | None] | None = None

    def on_message(self, callback: Callable[[str], object]) -> None:
        """Call this with every text frame met while the bytes are read."""
        self._on_message.append(callback)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (frame := await self._frame()) is not None:
            if isinstance(frame, bytes):
                yield frame
            else:
                for callback in self._on_message:
                    result = callback(frame)
                    if isinstance(result, Awaitable):
                        await result

    async def read_all(self) -> bytes:
        """All bytes until the end."""
        return b"".join([piece async for piece in self])

    async def close_async(self) -> None:
        """Stop reading; the writer learns of it."""
        await PendingCall(_submit(self._link, self._close()))

    def to_wire(self) -> ChannelRef:
        """In a payload it is its reference."""
        return self.ref

    async def _frame(self) -> str | bytes | None:
        if self._next is None:
            self._next = _submit(self._link, self._receive())
        try:
            return await PendingCall(self._next)
        finally:
            if self._next.done():
                self._next = None

    async def _receive(self) -> str | bytes | None:
        return await anext(self._core(), None)

    async def _close(self) -> None:
        await self._core().close()

    def _core(self) -> core.ChannelReader:
        if self._end is None:
            self._end = core.ChannelReader(self._link.connection.endpoint, self.ref)
        return self._end


class WritableStream:
    """The bytes of a writer, written without waiting."""

    def __init__(self, writer: ChannelWriter) -> None:
        self._writer = writer

    def write(self, data: bytes) -> None:
        """Send bytes; a failure is only logged."""
        self._writer._begin(self._writer._write(data))

    def end(self, data: bytes | None = None) -> None:
        """Send the last bytes, if any, and end the channel."""
        if data is not None:
            self.write(data)
        self._writer.close()


class Channel:
    """Both ends of a new channel. Hand the reference of one end to somebody else."""

    def __init__(self, link: Link, refs: core.ChannelRefs) -> None:
        self.writer_ref = refs.writer
        self.reader_ref = refs.reader
        self.writer = ChannelWriter(link, refs.writer)
        self.reader = ChannelReader(link, refs.reader)


#: Makes the end of a channel from a dictionary, or None when that is no reference.
ChannelMaker: TypeAlias = Callable[[dict[str, Any]], ChannelReader | ChannelWriter | None]


def channel_maker(link: Link) -> ChannelMaker:
    """Makes ends of channels that are opened through this connection."""

    def make(value: dict[str, Any]) -> ChannelReader | ChannelWriter | None:
        try:
            ref = msgspec.convert(value, ChannelRef)
        except msgspec.ValidationError:
            return None
        return ChannelReader(link, ref) if ref.direction == "read" else ChannelWriter(link, ref)

    return make


def resolved(data: Raw, value: Any, make: ChannelMaker) -> Any:
    """`value`, which was read from `data`, with ends of channels in place of references."""
    return _resolved(value, make) if b'"access_key"' in bytes(data) else value


def _resolved(value: Any, make: ChannelMaker) -> Any:
    if isinstance(value, list):
        return [_resolved(item, make) for item in value]
    if not isinstance(value, dict):
        return value
    end = make(value)
    return {key: _resolved(item, make) for key, item in value.items()} if end is None else end


def _submit(link: Link, work: Coroutine[Any, Any, T]) -> Future[T]:
    """Run on the I/O loop, with errors in the published form."""

    async def run() -> T:
        try:
            return await work
        except BusError as error:
            raise published(error) from None

    return link.io.submit(run())


def _log_failure(done: Future[None]) -> None:
    if not done.cancelled() and (error := done.exception()) is not None:
        log.warning("writing to a channel failed: %s", error)
