"""A scripted server of Anthropic's messages format, plain and streamed."""

from __future__ import annotations

import json
from typing import Any

from tests.support.scripted_http import Recorded, Scripted, ScriptedServer

USAGE = {"input_tokens": 100, "output_tokens": 200}


class AnthropicServer(ScriptedServer):
    """Speaks `/v1/messages`. Answers are lists of content blocks."""

    def __init__(self) -> None:
        super().__init__(lambda request: answer(request, [{"type": "text", "text": "hi"}]))

    async def __aenter__(self) -> AnthropicServer:
        await self.start()
        return self

    def then_send(self, *blocks: dict[str, Any], stop: str = "end_turn", **usage: int) -> None:
        """The next answer consists of these blocks."""
        self.script.append(lambda request: answer(request, list(blocks), stop, usage or USAGE))

    def then_stream_raw(self, *events: dict[str, Any]) -> None:
        """The next answer is exactly these events."""
        self.script.append(Scripted(chunks=[_event(event) for event in events]))


def answer(
    request: Recorded,
    blocks: list[dict[str, Any]],
    stop: str = "end_turn",
    usage: dict[str, int] = USAGE,
) -> Scripted:
    """An answer in the form the request asked for."""
    if request.body is None:
        return Scripted()
    message = {
        "id": "msg_scripted",
        "type": "message",
        "role": "assistant",
        "model": request.body["model"],
        "content": blocks,
        "stop_reason": stop,
        "usage": usage,
    }
    if request.body.get("stream"):
        return Scripted(chunks=[_event(event) for event in _events(message)])
    return Scripted(body=json.dumps(message).encode())


def _events(message: dict[str, Any]) -> list[dict[str, Any]]:
    usage = {**message["usage"], "output_tokens": 1}
    start = {**message, "content": [], "stop_reason": None, "usage": usage}
    events: list[dict[str, Any]] = [{"type": "message_start", "message": start}, {"type": "ping"}]
    for index, block in enumerate(message["content"]):
        events += _block(index, block)
    end = {"stop_reason": message["stop_reason"]}
    output = {"output_tokens": message["usage"]["output_tokens"]}
    events.append({"type": "message_delta", "delta": end, "usage": output})
    return [*events, {"type": "message_stop"}]


def _block(index: int, block: dict[str, Any]) -> list[dict[str, Any]]:
    if block["type"] == "text":
        empty: dict[str, Any] = {"type": "text", "text": ""}
        pieces = [{"type": "text_delta", "text": word} for word in block["text"].split("|")]
    else:
        empty = {**block, "input": {}}
        text = json.dumps(block["input"])
        halves = (text[: len(text) // 2], text[len(text) // 2 :])
        pieces = [{"type": "input_json_delta", "partial_json": half} for half in halves]
    deltas = [{"type": "content_block_delta", "index": index, "delta": piece} for piece in pieces]
    start = {"type": "content_block_start", "index": index, "content_block": empty}
    return [start, *deltas, {"type": "content_block_stop", "index": index}]


def _event(event: dict[str, Any]) -> bytes:
    return f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()
