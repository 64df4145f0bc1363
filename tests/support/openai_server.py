"""A scripted OpenAI-compatible server.

    async with OpenAIServer() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        server.then_call(("t1", "memory__recall", {"query": "x"}))
        server.then_say("Hello")
        ...
        assert server.chats[0].body["model"] == "gpt-4o"

Without a script it repeats the last message. Whatever is scripted is sent plain or as a stream,
as the request asks.
"""

from __future__ import annotations

import json
from typing import Any

from tests.support.scripted_http import Recorded, Scripted, ScriptedServer

Call = tuple[str, str, dict[str, Any]]

USAGE = {"prompt_tokens": 10, "completion_tokens": 20, "total_tokens": 30}


class OpenAIServer(ScriptedServer):
    """Speaks `/chat/completions` (plain and streamed) and `/models`."""

    def __init__(self, models: tuple[str, ...] = ("gpt-4o", "gpt-4o-mini")) -> None:
        super().__init__(self._unscripted)
        self.models = models

    async def __aenter__(self) -> OpenAIServer:
        await self.start()
        return self

    @property
    def url(self) -> str:
        """What `OPENAI_BASE_URL` is set to."""
        return f"{self.origin}/v1"

    @property
    def chats(self) -> list[Recorded]:
        """The completion requests so far."""
        return [request for request in self.requests if request.method == "POST"]

    def then_say(
        self,
        text: str | None,
        *,
        pieces: list[str] | None = None,
        finish: str = "stop",
        usage: dict[str, Any] | None = None,
    ) -> None:
        """The next answer is text; streamed it comes in `pieces` (default: words)."""
        self.script.append(lambda request: answer(request, text, (), pieces, finish, usage))

    def then_call(self, *calls: Call, text: str | None = None) -> None:
        """The next answer asks for functions: `(call id, wire name, arguments)`."""
        self.script.append(lambda request: answer(request, text, calls, None, "tool_calls", None))

    def then_stream_raw(self, *chunks: bytes, hang: bool = False, cut: bool = False) -> None:
        """The next answer is exactly these pieces."""
        self.script.append(Scripted(chunks=list(chunks), hang=hang, cut=cut))

    def then_body(self, body: object, status: int = 200) -> None:
        """The next answer is exactly this JSON."""
        self.script.append(Scripted(status, json.dumps(body).encode()))

    def _unscripted(self, request: Recorded) -> Scripted:
        if request.path.endswith("/models"):
            listed = [{"id": model, "object": "model"} for model in self.models]
            return Scripted(body=json.dumps({"object": "list", "data": listed}).encode())
        if request.method != "POST":
            return Scripted(404)
        last = request.body["messages"][-1]["content"] if request.body["messages"] else ""
        return answer(request, f"echo: {last}", (), None, "stop", None)


def answer(
    request: Recorded,
    text: str | None,
    calls: tuple[Call, ...],
    pieces: list[str] | None,
    finish: str,
    usage: dict[str, Any] | None,
) -> Scripted:
    """An answer in the form the request asked for."""
    model = request.body["model"]
    if request.body.get("stream"):
        wants_usage = (request.body.get("stream_options") or {}).get("include_usage")
        words = pieces or [word + " " for word in (text or "").split(" ")]
        if pieces is None and words:
            words[-1] = words[-1][:-1]
        return Scripted(
            chunks=_stream(model, words if text else [], calls, finish, usage, wants_usage)
        )
    message: dict[str, Any] = {"role": "assistant", "content": text}
    if calls:
        message["tool_calls"] = [_call(index, call) for index, call in enumerate(calls)]
    body = {
        "id": "chatcmpl-scripted",
        "object": "chat.completion",
        "created": 1,
        "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        "usage": usage or USAGE,
    }
    return Scripted(body=json.dumps(body).encode())


def _call(index: int, call: Call) -> dict[str, Any]:
    call_id, name, arguments = call
    function = {"name": name, "arguments": json.dumps(arguments)}
    return {"index": index, "id": call_id, "type": "function", "function": function}


def _stream(
    model: str,
    words: list[str],
    calls: tuple[Call, ...],
    finish: str,
    usage: dict[str, Any] | None,
    wants_usage: bool | None,
) -> list[bytes]:
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": word} for word in words]
    for index, call in enumerate(calls):
        whole = _call(index, call)
        arguments = whole["function"]["arguments"]
        half = len(arguments) // 2
        # As the real service does it: name and id first, then the arguments in fragments.
        whole["function"]["arguments"] = ""
        deltas.append({"tool_calls": [whole]})
        for part in (arguments[:half], arguments[half:]):
            deltas.append({"tool_calls": [{"index": index, "function": {"arguments": part}}]})
    chunks = [_chunk(model, [{"index": 0, "delta": delta}]) for delta in deltas]
    chunks.append(_chunk(model, [{"index": 0, "delta": {}, "finish_reason": finish}]))
    if wants_usage:
        chunks.append(_chunk(model, [], usage or USAGE))
    return [b": comment\n\n", *chunks, b"data: [DONE]\n\n"]


def _chunk(model: str, choices: list[Any], usage: dict[str, Any] | None = None) -> bytes:
    body = {
        "id": "chatcmpl-scripted",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": model,
        "choices": choices,
    }
    if usage is not None:
        body["usage"] = usage
    return b"data: " + json.dumps(body).encode() + b"\n\n"
