"""The neutral shapes: what callers send, what drivers get, and the way from one to the other.

Callers send loosely typed messages (`Message`); a driver gets a `Prompt`, in which the system text
is hoisted, every tool call has one shape, and nothing needs checking any more.
"""

from __future__ import annotations

import msgspec

from iii_sdk.errors import InvalidInput


class ImageUrl(msgspec.Struct):
    """OpenAI's nesting of an image address."""

    url: str


class Part(msgspec.Struct, rename="camel"):
    """A piece of content: `text`, `image` (base64 `data` or `url`), or OpenAI's `image_url`."""

    type: str
    text: str = ""
    media_type: str = "image/png"
    data: str = ""
    url: str = ""
    image_url: ImageUrl | None = msgspec.field(default=None, name="image_url")


class NamedCall(msgspec.Struct):
    """OpenAI's inner function object; `arguments` is JSON text."""

    name: str
    arguments: str = ""


class IncomingCall(msgspec.Struct, rename="camel"):
    """A tool call inside an assistant message, in our shape or in OpenAI's."""

    id: str
    call_id: str = ""
    arguments: object = None
    provider_data: object = None
    function: NamedCall | None = None


class Message(msgspec.Struct):
    """One turn as callers send it. Other fields (score, timestamp, ...) are ignored."""

    role: str
    content: str | list[Part] | None = None
    tool_calls: list[IncomingCall] | None = None
    tool_call_id: str | None = None


class ToolResult(msgspec.Struct, rename="camel"):
    """The older way to hand back what a function returned."""

    tool_call_id: str
    output: object = None


class ToolCall(msgspec.Struct, rename="camel", omit_defaults=True):
    """A function the model wants called: `id` is ours (`ns::name`), `arguments` parsed JSON."""

    call_id: str
    id: str
    arguments: object = msgspec.field(default_factory=dict)
    provider_data: object = None

    def wire(self) -> dict[str, object]:
        """The call as answers carry it: always with its arguments, even empty ones."""
        shown: dict[str, object] = {
            "callId": self.call_id,
            "id": self.id,
            "arguments": self.arguments,
        }
        if self.provider_data is not None:
            shown["providerData"] = self.provider_data
        return shown


class Image(msgspec.Struct, frozen=True):
    """A picture: either base64 `data` with its media type, or a `url` the provider fetches."""

    media_type: str = ""
    data: str = ""
    url: str = ""


class Turn(msgspec.Struct):
    """A normalised message. `role` is `user`, `assistant` or `tool`."""

    role: str
    text: str = ""
    images: list[Image] = []
    calls: list[ToolCall] = []
    call_id: str = ""


class Tool(msgspec.Struct, frozen=True):
    """A function offered to the model; `parameters` is a JSON Schema of an object."""

    id: str
    description: str
    parameters: dict[str, object]


class Prompt(msgspec.Struct):
    """Everything a driver needs to know about the conversation."""

    model: str
    max_tokens: int
    turns: list[Turn] = []
    system: str = ""
    tools: list[Tool] = []
    temperature: float | None = None
    top_p: float | None = None
    stop: list[str] = []


class Usage(msgspec.Struct, rename="camel"):
    """Token counts of one completion, as the provider reports them."""

    input: int = 0
    output: int = 0
    total: int = 0
    cache_read: int = 0
    cache_write: int = 0


class Reply(msgspec.Struct):
    """What a driver brings back. `uncached_input` is the part of the input paid in full."""

    text: str
    calls: list[ToolCall]
    usage: Usage
    stop_reason: str
    model: str
    uncached_input: int = 0


def build_turns(
    messages: list[Message], system: str, results: list[ToolResult]
) -> tuple[str, list[Turn]]:
    """System text (all of it, joined by blank lines) and the normalised turns."""
    hoisted = [system] if system else []
    turns: list[Turn] = []
    for index, message in enumerate(messages):
        path = f"$.messages[{index}]"
        match message.role:
            case "system" | "developer":
                text, _ = _content(message, path)
                hoisted += [text] if text else []
            case "user":
                text, images = _content(message, path)
                turns.append(Turn("user", text, images))
            case "assistant":
                text, _ = _content(message, path)
                calls = [_call(call, path) for call in message.tool_calls or []]
                if text or calls:
                    turns.append(Turn("assistant", text, calls=calls))
            case "tool":
                turns.append(_tool_turn(message, path))
            case other:
                raise InvalidInput(
                    f"{path}.role: expected system, user, assistant or tool, got {other!r}"
                )
    for result in results:
        output = result.output
        text = output if isinstance(output, str) else msgspec.json.encode(output).decode()
        turns.append(Turn("tool", text, call_id=result.tool_call_id))
    return "\n\n".join(hoisted), _without_orphans(turns)


def _content(message: Message, path: str) -> tuple[str, list[Image]]:
    """Text and images of one message; text parts are joined by blank lines."""
    if message.content is None or isinstance(message.content, str):
        return message.content or "", []
    texts: list[str] = []
    images: list[Image] = []
    for index, part in enumerate(message.content):
        if part.type in ("text", "input_text"):
            texts.append(part.text)
        elif part.type in ("image", "image_url"):
            images.append(_image(part, f"{path}.content[{index}]"))
        else:
            raise InvalidInput(f"{path}.content[{index}].type: unknown part type {part.type!r}")
    return "\n\n".join(texts), images


def _image(part: Part, path: str) -> Image:
    """A part as an image; a data URL is taken apart."""
    url = part.image_url.url if part.image_url is not None else part.url
    if part.data:
        return Image(media_type=part.media_type, data=part.data)
    if url.startswith("data:"):
        head, comma, data = url[5:].partition(",")
        if not comma or not head.endswith(";base64"):
            raise InvalidInput(f"{path}: a data URL must be base64 encoded")
        return Image(media_type=head.removesuffix(";base64"), data=data)
    if not url:
        raise InvalidInput(f"{path}: an image needs data or a url")
    return Image(url=url)


def _call(call: IncomingCall, path: str) -> ToolCall:
    """A call in our shape. In OpenAI's shape `id` names the call and `function` the function."""
    if call.function is not None:
        return ToolCall(call.id, call.function.name, parse_arguments(call.function.arguments))
    if not call.call_id:
        raise InvalidInput(f"{path}.tool_calls: a call needs callId, or OpenAI's function object")
    arguments = {} if call.arguments is None else call.arguments
    return ToolCall(call.call_id, call.id, arguments, call.provider_data)


def _tool_turn(message: Message, path: str) -> Turn:
    if not message.tool_call_id:
        raise InvalidInput(f"{path}.tool_call_id: missing on a tool message")
    text, _ = _content(message, path)
    return Turn("tool", text, call_id=message.tool_call_id)


def _without_orphans(turns: list[Turn]) -> list[Turn]:
    """Results whose call is not in the history become plain user text.

    Providers refuse a result without its call, and a history cut to a budget may begin with one.
    """
    known: set[str] = set()
    kept: list[Turn] = []
    for turn in turns:
        known.update(call.call_id for call in turn.calls)
        if turn.role == "tool" and turn.call_id not in known:
            kept.append(Turn("user", f"Result of the earlier call {turn.call_id}:\n{turn.text}"))
        else:
            kept.append(turn)
    return kept


def parse_arguments(text: str) -> object:
    """JSON text of a call's arguments: empty is `{}`, text that is not JSON is kept as `_raw`."""
    if not text.strip():
        return {}
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return {"_raw": text}
