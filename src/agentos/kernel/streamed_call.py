"""A call whose callee tells what happens on a channel while it works.

The callee gets the write end, writes one JSON object per line and closes it before it answers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

import msgspec

from iii_sdk import Bus, Timeout
from iii_sdk.channels import ChannelReader

#: Between the answer and the end of the channel; the rest is under way by then.
CLOSE_SECONDS = 5.0

Event = dict[str, object]
OnEvent = Callable[[Event], Awaitable[None]]

T = TypeVar("T")

_decode_event = msgspec.json.Decoder(Event).decode


async def streamed_call(
    bus: Bus,
    function_id: str,
    data: Mapping[str, object],
    *,
    writer_field: str,
    on_event: OnEvent,
    kind: type[T],
    timeout: float,
) -> T:
    """The result of the call, after `on_event` saw every event that came before it.

    The write end goes into `data` under `writer_field`. Raises what the call raises, at once.
    """
    channel = await bus.channel()
    reading = asyncio.ensure_future(_read(channel.reader, on_event))
    try:
        payload = {**data, writer_field: channel.writer_ref}
        result = await bus.call(function_id, payload, kind=kind, timeout=timeout)
        await _ended(reading, function_id)
        return result
    finally:
        reading.cancel()
        await channel.reader.close()


async def _ended(reading: asyncio.Future[None], function_id: str) -> None:
    try:
        await asyncio.wait_for(reading, CLOSE_SECONDS)
    except TimeoutError:
        raise Timeout(f"{function_id} answered without closing its channel") from None


async def _read(reader: ChannelReader, on_event: OnEvent) -> None:
    async for frame in reader:
        for line in frame.splitlines():
            if line.strip():
                await on_event(_decode_event(line))
