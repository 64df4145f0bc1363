"""Talking to agents over the bus, in one piece or as it comes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Final

from agentos.kernel.streamed_call import Event, streamed_call
from agentos.workers.api.answers import Answer, failure_of, refusal_of
from agentos.workers.api.openai_format import (
    ChatCompletion,
    JsonObject,
    Reply,
    finish_reason,
)
from iii_sdk import Bus, BusError

#: The agent's own limit is 300 s; ours comes later so that its answer wins.
CHAT_SECONDS: Final = 310.0
PARAGRAPH: Final = "\n\n"


async def complete(bus: Bus, payload: Mapping[str, object], reply: Reply) -> ChatCompletion:
    """One turn as a completion. Raises `BusError` with the status to answer."""
    try:
        answer = await bus.call("agent::chat", payload, kind=Answer, timeout=CHAT_SECONDS)
    except BusError as error:
        raise failure_of(error) from error
    if answer.error is not None:
        raise refusal_of(answer.error)
    return reply.completion(answer)


async def chunks(
    bus: Bus, payload: Mapping[str, object], reply: Reply, include_usage: bool
) -> AsyncGenerator[JsonObject, None]:
    """One turn as chunks. What fails before the first piece of text raises as in `complete`."""
    role: JsonObject = {"role": "assistant"}
    async with aclosing(_pieces(bus, payload)) as pieces:
        async for item in pieces:
            if isinstance(item, str):
                yield reply.chunk({**role, "content": item})
                role = {}
                continue
            if item.error is not None:
                raise refusal_of(item.error)
            if role:  # no text came as pieces
                yield reply.chunk({**role, "content": item.content})
            yield reply.chunk({}, finish_reason(item))
            if include_usage:
                yield reply.usage_chunk(item)


async def _pieces(bus: Bus, payload: Mapping[str, object]) -> AsyncGenerator[str | Answer, None]:
    """The text as it comes, then the whole answer. Leaving early lets go of the call."""
    queue: asyncio.Queue[str | None] = asyncio.Queue()
    text = Text()

    async def on_event(event: Event) -> None:
        if (piece := text.piece(event)) is not None:
            queue.put_nowait(piece)

    async def run() -> Answer:
        try:
            return await streamed_call(
                bus,
                "agent::chat",
                payload,
                writer_field="stream",
                on_event=on_event,
                kind=Answer,
                timeout=CHAT_SECONDS,
            )
        finally:
            queue.put_nowait(None)

    turn = asyncio.ensure_future(run())
    try:
        while (piece := await queue.get()) is not None:
            yield piece
        yield await turn
    except BusError as error:
        raise failure_of(error) from error
    finally:
        turn.cancel()


class Text:
    """The visible text of a turn. What the model says before and after calling functions are
    paragraphs of their own."""

    def __init__(self) -> None:
        self._spoken = False
        self._interrupted = False

    def piece(self, event: Event) -> str | None:
        """The text to show for an event, if any."""
        if event.get("type") == "tool_call":
            self._interrupted = self._spoken
        delta = event.get("delta")
        if event.get("type") != "text" or not isinstance(delta, str) or not delta:
            return None
        shown = PARAGRAPH + delta if self._interrupted else delta
        self._spoken, self._interrupted = True, False
        return shown
