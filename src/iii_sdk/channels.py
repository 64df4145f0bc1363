"""Data channels: one-directional pipes between two processes, through the engine."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from iii_sdk.errors import InvalidInput, Unavailable
from iii_sdk.protocol import ChannelRef
from iii_sdk.streams import CHUNK

if TYPE_CHECKING:
    from iii_sdk.transport import Endpoint, Transport

#: With this many bytes waiting for a slow consumer a reader stops reading, until half are gone.
READER_BYTES: Final = 1024 * 1024


class ChannelRefs(Struct):
    """What `engine::channels::create` returns."""

    writer: ChannelRef
    reader: ChannelRef


class ChannelWriter:
    """The writing end. It connects with the first frame."""

    def __init__(self, endpoint: Endpoint, ref: ChannelRef) -> None:
        if ref.direction != "write":
            raise InvalidInput("$.direction: expected a writer's reference, got a reader's")
        self.ref = ref
        self._endpoint = endpoint
        self._transport: Transport | None = None
        self._room = asyncio.Event()
        self._room.set()
        self._opening = asyncio.Lock()
        self._block: asyncio.Timeout | None = None
        #: Set when the channel ended, also from the reader's side.
        self.ended = asyncio.Event()

    async def open(self) -> None:
        """Connect now. Raises `Unavailable` when the channel is not there."""
        async with self._opening:
            if self._transport is None and not self.ended.is_set():
                self._transport = await _open(self._endpoint, self.ref, self)

    async def send_text(self, text: str) -> None:
        """Send one text frame. Raises `Unavailable` when the reader has gone."""
        (await self._ready()).send((text.encode(),))

    async def send_bytes(self, data: bytes) -> None:
        """Send bytes in frames of at most 64 KiB. Raises `Unavailable` when nobody reads."""
        for start in range(0, len(data), CHUNK):
            (await self._ready()).send_bytes(data[start : start + CHUNK])

    async def close(self) -> None:
        """End the channel after what was sent. Harmless when done twice."""
        if self._transport is None and not self.ended.is_set():
            await self.open()  # the reader must learn that nothing comes
        if self._transport is not None:
            self._transport.close(1000, "channel_close")
            await self._transport.wait_closed()

    @asynccontextmanager
    async def while_read(self) -> AsyncIterator[None]:
        """Run the block only as long as somebody reads.

        When the reader goes, the block is cancelled where it waits, and `Unavailable`
        (`channel_closed`) is raised: work that nobody wants any more ends at once, and not when it
        has something to send.
        """
        await self.open()
        try:
            async with asyncio.timeout(None) as self._block:
                if self.ended.is_set():
                    raise _reader_gone()
                yield
        except TimeoutError:
            if self._block is None or not self._block.expired():
                raise
            raise _reader_gone() from None
        finally:
            self._block = None

    def abort(self) -> None:
        """Drop the channel without a close, so that what was sent is not taken for all of it."""
        if self._transport is not None:
            self._transport.abort()
        self.ended.set()

    async def _ready(self) -> Transport:
        if self._transport is None:
            await self.open()
        await self._room.wait()
        if self.ended.is_set() or self._transport is None:
            raise _reader_gone()
        return self._transport

    # -- Receiver --------------------------------------------------------------------------------

    def opened(self, transport: Transport) -> None:
        pass

    def received(self, data: bytes, is_text: bool) -> None:
        pass

    def flow(self, open: bool) -> None:
        if open:
            self._room.set()
        else:
            self._room.clear()

    def closed(self, code: int, reason: str) -> None:
        self.ended.set()
        self._room.set()
        if self._block is not None:
            self._block.reschedule(asyncio.get_running_loop().time())


def _reader_gone() -> Unavailable:
    return Unavailable("the reader of the channel has gone", code="channel_closed")


class ChannelReader:
    """The reading end: an asynchronous iterator over frames, `str` or `bytes`.

    What a slow consumer has not taken keeps the writer waiting, through the engine.
    """

    def __init__(self, endpoint: Endpoint, ref: ChannelRef) -> None:
        if ref.direction != "read":
            raise InvalidInput("$.direction: expected a reader's reference, got a writer's")
        self.ref = ref
        self._endpoint = endpoint
        self._transport: Transport | None = None
        self._frames: deque[str | bytes] = deque()
        self._bytes = 0
        self._ended = False
        self._paused = False
        self._news = asyncio.Event()

    async def open(self) -> None:
        """Connect now. Raises `Unavailable` when the channel is not there."""
        if self._transport is None and not self._ended:
            self._transport = await _open(self._endpoint, self.ref, self)

    def __aiter__(self) -> ChannelReader:
        return self

    async def __anext__(self) -> str | bytes:
        if self._transport is None:
            await self.open()
        while not self._frames:
            if self._ended:
                raise StopAsyncIteration
            self._news.clear()
            await self._news.wait()
        frame = self._frames.popleft()
        self._bytes -= len(frame)
        if self._paused and self._bytes <= READER_BYTES // 2 and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()
        return frame

    async def read_all(self) -> bytes:
        """All bytes until the end; text frames are left out."""
        return b"".join([frame async for frame in self if isinstance(frame, bytes)])

    async def close(self) -> None:
        """Stop reading; the writer learns of it."""
        if self._transport is not None:
            self._transport.close()
            await self._transport.wait_closed()
        self._ended = True

    # -- Receiver --------------------------------------------------------------------------------

    def opened(self, transport: Transport) -> None:
        self._transport = transport  # the first frames may come before `connect` returns

    def received(self, data: bytes, is_text: bool) -> None:
        frame = data.decode("utf-8", "replace") if is_text else data
        self._frames.append(frame)
        self._bytes += len(frame)
        self._news.set()
        if self._bytes >= READER_BYTES and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()

    def flow(self, open: bool) -> None:
        pass

    def closed(self, code: int, reason: str) -> None:
        self._ended = True
        self._news.set()


class Channel:
    """Both ends of a new channel. Hand the reference of one end to somebody else."""

    def __init__(self, endpoint: Endpoint, refs: ChannelRefs) -> None:
        self.writer_ref = refs.writer
        self.reader_ref = refs.reader
        self.writer = ChannelWriter(endpoint, refs.writer)
        self.reader = ChannelReader(endpoint, refs.reader)


async def _open(
    endpoint: Endpoint, ref: ChannelRef, receiver: ChannelWriter | ChannelReader
) -> Transport:
    try:
        return await endpoint.open_channel(ref, receiver)
    except OSError as error:
        raise Unavailable(
            f"channel {ref.channel_id} cannot be opened: {error}", code="channel_unavailable"
        ) from error
