"""The OpenAI chat format: a `Prompt` as a request body, answers and stream chunks as a `Reply`."""

from __future__ import annotations

import hashlib
import re

import msgspec

from agentos.workers.llm_router.catalogue import Provider
from agentos.workers.llm_router.conversation import (
    Prompt,
    Reply,
    Tool,
    ToolCall,
    Turn,
    Usage,
    parse_arguments,
)
from agentos.workers.llm_router.names import NameMap

Body = dict[str, object]

_NINE = re.compile(r"[A-Za-z0-9]{9}")
_STOP_REASONS = {
    "stop": "end",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "length": "length",
    "content_filter": "content_filter",
}


def request_body(prompt: Prompt, provider: Provider, names: NameMap, *, stream: bool) -> Body:
    """The JSON body of `POST .../chat/completions`, with the provider's quirks applied."""
    body: Body = {"model": prompt.model, "messages": _messages(prompt, provider, names)}
    reasoning = prompt.model.startswith(provider.reasoning_prefixes or ("\0",))
    body["max_completion_tokens" if reasoning else "max_tokens"] = prompt.max_tokens
    if prompt.temperature is not None and not reasoning:
        body["temperature"] = prompt.temperature
    if prompt.top_p is not None and not reasoning:
        body["top_p"] = prompt.top_p
    if prompt.stop:
        body["stop"] = prompt.stop
    if prompt.tools and provider.tools:
        body["tools"] = [_tool(tool, names) for tool in prompt.tools]
    if stream:
        body["stream"] = True
        if provider.stream_usage:
            body["stream_options"] = {"include_usage": True}
    return body


def _tool(tool: Tool, names: NameMap) -> Body:
    function = {
        "name": names.name(tool.id),
        "description": tool.description,
        "parameters": tool.parameters,
    }
    return {"type": "function", "function": function}


def _messages(prompt: Prompt, provider: Provider, names: NameMap) -> list[Body]:
    messages: list[Body] = []
    if prompt.system:
        messages.append({"role": "system", "content": prompt.system})
    if provider.alternating_roles:
        return messages + _alternating(prompt.turns)
    call_id = _short_id if provider.short_call_ids else str
    for turn in prompt.turns:
        if turn.role == "tool":
            result = {"role": "tool", "tool_call_id": call_id(turn.call_id), "content": turn.text}
            messages.append(dict(result))
        elif turn.calls:
            calls = [_call(call, names, call_id(call.call_id)) for call in turn.calls]
            content = turn.text or None
            messages.append({"role": "assistant", "content": content, "tool_calls": calls})
        else:
            messages.append({"role": turn.role, "content": _content(turn)})
    return messages


def _alternating(turns: list[Turn]) -> list[Body]:
    """For services without tools that insist on user and assistant taking turns."""
    merged: list[tuple[str, str]] = []
    for turn in turns:
        role = "assistant" if turn.role == "assistant" else "user"
        if not turn.text:
            continue
        if merged and merged[-1][0] == role:
            merged[-1] = (role, f"{merged[-1][1]}\n\n{turn.text}")
        else:
            merged.append((role, turn.text))
    return [{"role": role, "content": text} for role, text in merged]


def _content(turn: Turn) -> object:
    if not turn.images:
        return turn.text
    parts: list[Body] = [{"type": "text", "text": turn.text}] if turn.text else []
    for image in turn.images:
        url = image.url or f"data:{image.media_type};base64,{image.data}"
        parts.append({"type": "image_url", "image_url": {"url": url}})
    return parts


def _call(call: ToolCall, names: NameMap, call_id: str) -> Body:
    arguments = msgspec.json.encode(call.arguments).decode()
    function = {"name": names.name(call.id), "arguments": arguments}
    return {"id": call_id, "type": "function", "function": function}


def _short_id(call_id: str) -> str:
    """Nine letters or digits; only has to be the same for a call and its result."""
    if _NINE.fullmatch(call_id):
        return call_id
    return hashlib.sha256(call_id.encode()).hexdigest()[:9]


class WireFunction(msgspec.Struct):
    """Name and arguments of a call, or a fragment of them in a stream."""

    name: str | None = None
    arguments: str | dict[str, object] | None = None


class WireCall(msgspec.Struct):
    """A tool call, whole or a fragment. `index` counts the calls of one answer."""

    id: str | None = None
    index: int | None = None
    function: WireFunction = msgspec.field(default_factory=WireFunction)


class WireMessage(msgspec.Struct):
    """The answer's message, or the `delta` of a chunk. Reasoning text is dropped."""

    content: str | list[dict[str, object]] | None = None
    tool_calls: list[WireCall] | None = None

    @property
    def text(self) -> str:
        """The content as text; some services send a list of parts."""
        if isinstance(self.content, list):
            return "".join(str(p["text"]) for p in self.content if isinstance(p.get("text"), str))
        return self.content or ""


class WireChoice(msgspec.Struct):
    """The first and only alternative."""

    message: WireMessage | None = None
    delta: WireMessage | None = None
    finish_reason: str | None = None


class PromptDetails(msgspec.Struct):
    """How much of the input came out of the provider's cache."""

    cached_tokens: int | None = None


class WireUsage(msgspec.Struct):
    """Token counts; `prompt_tokens` includes cached ones."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    prompt_tokens_details: PromptDetails | None = None


class MinimaxStatus(msgspec.Struct):
    """MiniMax reports errors in a body that came with status 200."""

    status_code: int = 0
    status_msg: str = ""


class WireAnswer(msgspec.Struct):
    """A whole answer or one stream chunk; the fields are the same."""

    choices: list[WireChoice] | None = None
    model: str | None = None
    usage: WireUsage | None = None
    error: object = None
    base_resp: MinimaxStatus | None = None

    def failure(self) -> tuple[int, str] | None:
        """Status and text of an error that came with HTTP status 200."""
        if self.base_resp is not None and self.base_resp.status_code != 0:
            return 502, f"{self.base_resp.status_code} {self.base_resp.status_msg}"
        if not self.error:
            return None
        code = self.error.get("code") if isinstance(self.error, dict) else None
        status = code if isinstance(code, int) and 400 <= code <= 599 else 502
        return status, msgspec.json.encode(self.error).decode()


def usage_of(wire: WireUsage | None) -> tuple[Usage, int]:
    """Counts, and the part of the input that was not cached."""
    if wire is None:
        return Usage(), 0
    spent, given = wire.prompt_tokens or 0, wire.completion_tokens or 0
    details = wire.prompt_tokens_details
    cached = (details.cached_tokens or 0) if details is not None else 0
    usage = Usage(spent, given, wire.total_tokens or spent + given, cache_read=cached)
    return usage, max(0, spent - cached)


class Collector:
    """Puts an answer together, from one whole message or from many chunks."""

    def __init__(self, names: NameMap, model: str) -> None:
        self._names = names
        self._model = model
        self._text: list[str] = []
        self._calls: dict[int, _OpenCall] = {}
        self._finish: str | None = None
        self._usage: WireUsage | None = None
        #: Anything of an answer has come.
        self.begun = False

    @property
    def finished(self) -> bool:
        """The service said why its answer ends. A stream without that broke off."""
        return self._finish is not None

    def add(self, answer: WireAnswer) -> str:
        """Take in an answer or a chunk; its text comes back."""
        self.begun = True
        self._model = answer.model or self._model
        self._usage = answer.usage or self._usage
        if not answer.choices:
            return ""
        choice = answer.choices[0]
        self._finish = choice.finish_reason or self._finish
        message = choice.message or choice.delta
        if message is None:
            return ""
        for position, call in enumerate(message.tool_calls or []):
            self._add_call(call, position)
        self._text.append(message.text)
        return message.text

    def _add_call(self, wire: WireCall, position: int) -> None:
        index = position if wire.index is None else wire.index
        call = self._calls.setdefault(index, _OpenCall())
        call.id = call.id or wire.id or ""
        call.name = call.name or wire.function.name or ""
        arguments = wire.function.arguments
        if isinstance(arguments, dict):
            call.ready = arguments
        else:
            call.arguments.append(arguments or "")

    def reply(self) -> Reply:
        """Everything taken in, as one reply."""
        calls = [
            ToolCall(
                call.id or f"call_{index}",
                self._names.id(call.name),
                parse_arguments("".join(call.arguments)) if call.ready is None else call.ready,
            )
            for index, call in sorted(self._calls.items())
        ]
        reason = "tool_calls" if calls else _STOP_REASONS.get(self._finish or "stop", "end")
        usage, uncached = usage_of(self._usage)
        return Reply("".join(self._text), calls, usage, reason, self._model, uncached)


class _OpenCall:
    """A call whose pieces are still arriving."""

    def __init__(self) -> None:
        self.id = ""
        self.name = ""
        self.arguments: list[str] = []
        self.ready: dict[str, object] | None = None
