"""The Anthropic messages format: a `Prompt` as a request body, answers and events as a `Reply`."""

from __future__ import annotations

import msgspec

from agentos.workers.llm_router.conversation import (
    Image,
    Prompt,
    Reply,
    ToolCall,
    Turn,
    Usage,
    parse_arguments,
)
from agentos.workers.llm_router.names import NameMap

Body = dict[str, object]

CACHE_FROM_TOKENS = 1024
_CACHE = {"type": "ephemeral"}
_STOP_REASONS = {
    "end_turn": "end",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "stop_sequence": "stop_sequence",
    "refusal": "content_filter",
}


def request_body(prompt: Prompt, names: NameMap, *, stream: bool) -> Body:
    """The JSON body of `POST /v1/messages`."""
    body: Body = {
        "model": prompt.model,
        "max_tokens": prompt.max_tokens,
        "messages": _messages(prompt.turns, names),
    }
    tools: list[Body] = [
        {
            "name": names.name(tool.id),
            "description": tool.description,
            "input_schema": tool.parameters,
        }
        for tool in prompt.tools
    ]
    system: list[Body] = [{"type": "text", "text": prompt.system}] if prompt.system else []
    if _tokens(system) + _tokens(tools) > CACHE_FROM_TOKENS:
        for blocks in (system, tools):
            if blocks:
                blocks[-1]["cache_control"] = _CACHE
    if system:
        body["system"] = system
    if tools:
        body["tools"] = tools
    if prompt.temperature is not None:
        body["temperature"] = prompt.temperature
    if prompt.top_p is not None:
        body["top_p"] = prompt.top_p
    if prompt.stop:
        body["stop_sequences"] = prompt.stop
    if stream:
        body["stream"] = True
    return body


def _tokens(blocks: list[Body]) -> int:
    """A rough count, only to decide whether caching the prefix pays."""
    return len(msgspec.json.encode(blocks)) // 4


def _messages(turns: list[Turn], names: NameMap) -> list[Body]:
    """Strictly alternating roles, the first one user; results of a round share one message."""
    merged: list[tuple[str, list[Body]]] = []
    for turn in turns:
        role = "assistant" if turn.role == "assistant" else "user"
        blocks = _blocks(turn, names)
        if not blocks:
            continue
        if merged and merged[-1][0] == role:
            merged[-1][1].extend(blocks)
        else:
            merged.append((role, blocks))
    if not merged or merged[0][0] != "user":
        merged.insert(0, ("user", [{"type": "text", "text": "…"}]))
    return [{"role": role, "content": blocks} for role, blocks in merged]


def _blocks(turn: Turn, names: NameMap) -> list[Body]:
    if turn.role == "tool":
        result = {"type": "tool_result", "tool_use_id": turn.call_id, "content": turn.text}
        return [dict(result)]
    blocks: list[Body] = [_image(image) for image in turn.images]
    if turn.text.strip():
        blocks.append({"type": "text", "text": turn.text})
    for call in turn.calls:
        given = call.arguments if isinstance(call.arguments, dict) else {"_raw": call.arguments}
        name = names.name(call.id)
        blocks.append({"type": "tool_use", "id": call.call_id, "name": name, "input": given})
    return blocks


def _image(image: Image) -> Body:
    if image.url:
        return {"type": "image", "source": {"type": "url", "url": image.url}}
    source = {"type": "base64", "media_type": image.media_type, "data": image.data}
    return {"type": "image", "source": source}


class WireBlock(msgspec.Struct):
    """A content block; kinds other than `text` and `tool_use` are passed over."""

    type: str
    text: str = ""
    id: str = ""
    name: str = ""
    input: object = None


class WireUsage(msgspec.Struct):
    """Token counts; `input_tokens` does not include cached ones."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None


class WireMessage(msgspec.Struct):
    """A whole answer, and the `message` of a `message_start` event."""

    content: list[WireBlock] = []
    model: str = ""
    stop_reason: str | None = None
    usage: WireUsage = msgspec.field(default_factory=WireUsage)


class WireDelta(msgspec.Struct):
    """What an event adds: text, a piece of a call's input, or the end of the message."""

    type: str = ""
    text: str = ""
    partial_json: str = ""
    stop_reason: str | None = None


class WireEvent(msgspec.Struct):
    """Any stream event; only the fields of its type are there."""

    type: str
    index: int = 0
    message: WireMessage | None = None
    content_block: WireBlock | None = None
    delta: WireDelta | None = None
    usage: WireUsage | None = None
    error: object = None


def reply_of(message: WireMessage, names: NameMap) -> Reply:
    """A whole answer as a reply; text blocks are joined, wherever they stand."""
    collector = Collector(names, message.model)
    collector.start(message)
    for index, block in enumerate(message.content):
        collector.open_block(index, block)
    return collector.reply()


class Collector:
    """Puts an answer together from its blocks, whole or in pieces."""

    def __init__(self, names: NameMap, model: str) -> None:
        self._names = names
        self._model = model
        self._text: list[str] = []
        self._calls: dict[int, _OpenCall] = {}
        self._stop: str | None = None
        self._usage = WireUsage()
        #: Anything of an answer has come.
        self.begun = False
        #: The event `message_stop` has come. A stream without it broke off.
        self.finished = False

    def add(self, event: WireEvent) -> str:
        """Take in one stream event; the text it brought comes back."""
        self.begun = True
        if event.type == "message_stop":
            self.finished = True
        if event.message is not None:
            self.start(event.message)
        if event.content_block is not None:
            return self.open_block(event.index, event.content_block)
        if event.usage is not None:
            self._count(event.usage)
        delta = event.delta
        if delta is None:
            return ""
        self._stop = delta.stop_reason or self._stop
        if delta.type == "input_json_delta" and event.index in self._calls:
            self._calls[event.index].pieces.append(delta.partial_json)
        if delta.type != "text_delta":
            return ""
        self._text.append(delta.text)
        return delta.text

    def start(self, message: WireMessage) -> None:
        """The frame around the blocks: model, counts, why it stopped."""
        self._model = message.model or self._model
        self._stop = message.stop_reason
        self._count(message.usage)

    def open_block(self, index: int, block: WireBlock) -> str:
        """A block begins, or is there as a whole."""
        if block.type == "tool_use":
            self._calls[index] = _OpenCall(block.id, block.name, block.input)
        if block.type != "text":
            return ""
        self._text.append(block.text)
        return block.text

    def _count(self, usage: WireUsage) -> None:
        """Later counts replace earlier ones, and only where they are given."""
        for field in usage.__struct_fields__:
            value = getattr(usage, field)
            if value is not None:
                setattr(self._usage, field, value)

    def reply(self) -> Reply:
        """Everything taken in, as one reply."""
        counted = self._usage
        spent, given = counted.input_tokens or 0, counted.output_tokens or 0
        read, written = (
            counted.cache_read_input_tokens or 0,
            counted.cache_creation_input_tokens or 0,
        )
        calls = [call.done(self._names) for _, call in sorted(self._calls.items())]
        reason = "tool_calls" if calls else _STOP_REASONS.get(self._stop or "end_turn", "end")
        usage = Usage(spent, given, spent + given, read, written)
        return Reply("".join(self._text), calls, usage, reason, self._model, spent)


class _OpenCall:
    """A call whose input is complete, or still arriving as pieces of JSON."""

    def __init__(self, call_id: str, name: str, given: object) -> None:
        self.call_id = call_id
        self.name = name
        self.given = given
        self.pieces: list[str] = []

    def done(self, names: NameMap) -> ToolCall:
        text = "".join(self.pieces)
        arguments = parse_arguments(text) if text else self.given or {}
        return ToolCall(self.call_id, names.id(self.name), arguments)
