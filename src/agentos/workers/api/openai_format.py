"""OpenAI's chat completions: requests into turns, answers into completions. Pure."""

from __future__ import annotations

import re
import time
import uuid
from typing import Annotated, Final

from msgspec import Meta, Struct

from agentos.kernel.ids import require_id
from agentos.kernel.images import image_part
from agentos.workers.api.answers import Answer, Usage
from iii_sdk import InvalidInput

DEFAULT_AGENT: Final = "default"
DEFAULT_MODEL: Final = "claude-sonnet-4-6"
AGENT_PREFIX: Final = "agent:"

_SYSTEM_ROLES = frozenset({"system", "developer"})
_ROLES = _SYSTEM_ROLES | {"user", "assistant", "tool"}
_FINISH_REASONS = {"length": "length", "content_filter": "content_filter"}
_NO_ID_CHARACTER = re.compile(r"[^A-Za-z0-9_\-:.]")

JsonObject = dict[str, object]


class ImageUrl(Struct):
    """An address or a data URL."""

    url: str


class ContentPart(Struct):
    """A piece of content: `text` or `image_url`."""

    type: str
    text: str = ""
    image_url: ImageUrl | None = None


class RequestMessage(Struct):
    """One message of the conversation. `tool_calls` are passed on as they are."""

    role: str
    content: str | list[ContentPart] | None = None
    tool_calls: list[JsonObject] | None = None
    tool_call_id: str | None = None


class StreamOptions(Struct):
    """`include_usage` asks for a last chunk with the usage."""

    include_usage: bool | None = None


class ChatCompletionRequest(Struct):
    """OpenAI's request and our `agent`. Unknown fields are ignored, tools of the client too."""

    messages: list[RequestMessage]
    model: str | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    user: str | None = None
    agent: str | None = None
    max_tokens: Annotated[int, Meta(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Meta(ge=1)] | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None

    @property
    def include_usage(self) -> bool:
        return bool(self.stream_options and self.stream_options.include_usage)


class ChatCompletion(Struct):
    """OpenAI's answer."""

    id: str
    object: str
    created: int
    model: str
    choices: list[JsonObject]
    usage: JsonObject


def chat_payload(request: ChatCompletionRequest) -> JsonObject:
    """The input of `agent::chat`. Raises `InvalidInput` that names the field."""
    if not request.messages:
        raise InvalidInput("$.messages: expected at least one message")
    for index, message in enumerate(request.messages):
        _check(message, index)
    system, conversation = _split_system(request.messages)
    last = conversation[-1]
    text, images = _text_and_images(last)
    payload: JsonObject = {
        "agentId": agent_of(request),
        "message": text,
        "sessionId": session_of(request.user),
        "history": [_neutral(message) for message in conversation[:-1]],
    }
    optional: JsonObject = {
        "systemPrompt": system,
        "images": images,
        "model": preferred_model(request.model),
        "maxTokens": request.max_completion_tokens or request.max_tokens,
        "temperature": request.temperature,
    }
    return payload | {
        name: value for name, value in optional.items() if value not in (None, "", [])
    }


def _check(message: RequestMessage, index: int) -> None:
    if message.role not in _ROLES:
        raise InvalidInput(f"$.messages[{index}].role: unknown role {message.role[:50]!r}")
    for number, part in enumerate(message.content if isinstance(message.content, list) else []):
        if part.type != "text" and (part.type != "image_url" or part.image_url is None):
            where = f"$.messages[{index}].content[{number}]"
            raise InvalidInput(f"{where}: expected a text or image_url part")


def _split_system(messages: list[RequestMessage]) -> tuple[str, list[RequestMessage]]:
    """The text of the leading system messages, and the conversation after them."""
    first = 0
    while first < len(messages) - 1 and messages[first].role in _SYSTEM_ROLES:
        first += 1
    conversation = messages[first:]
    if conversation[-1].role in ("assistant", "tool"):
        raise InvalidInput("$.messages: the last message must come from the user")
    return "\n\n".join(_text_and_images(message)[0] for message in messages[:first]), conversation


def _text_and_images(message: RequestMessage) -> tuple[str, list[str]]:
    if not isinstance(message.content, list):
        return message.content or "", []
    text = "".join(part.text for part in message.content if part.type == "text")
    return text, [part.image_url.url for part in message.content if part.image_url is not None]


def _neutral(message: RequestMessage) -> JsonObject:
    text, images = _text_and_images(message)
    content: object = text
    if images:
        parts: list[JsonObject] = [{"type": "text", "text": text}] if text else []
        content = parts + [image_part(image) for image in images]
    turn: JsonObject = {
        "role": "system" if message.role in _SYSTEM_ROLES else message.role,
        "content": content,
    }
    if message.tool_calls:
        turn["tool_calls"] = message.tool_calls
    if message.tool_call_id is not None:
        turn["tool_call_id"] = message.tool_call_id
    return turn


def agent_of(request: ChatCompletionRequest) -> str:
    """The agent by field, by model name `agent:<id>`, else the default one."""
    if request.agent:
        return _agent_id(request.agent, "agent")
    if request.model and request.model.startswith(AGENT_PREFIX):
        return _agent_id(request.model.removeprefix(AGENT_PREFIX), "model")
    return DEFAULT_AGENT


def _agent_id(value: str, field: str) -> str:
    try:
        return require_id(value, field)
    except InvalidInput as error:
        raise InvalidInput(f"$.{field}: {error.message}") from None


def preferred_model(model: str | None) -> str | None:
    """The model asked for, when it does not name an agent."""
    return None if not model or model.startswith(AGENT_PREFIX) else model


def session_of(user: str | None) -> str:
    """One session per user; a new one for each request that names none."""
    if user and user.strip():
        return f"api:{_NO_ID_CHARACTER.sub('_', user.strip())[:200]}"
    return f"api:{uuid.uuid4()}"


class Reply:
    """The answer to one request: a completion, or chunks that share its id."""

    def __init__(self, requested_model: str | None) -> None:
        self._id = f"chatcmpl-{uuid.uuid4().hex[:8]}"
        self._created = int(time.time())
        self._model = requested_model or DEFAULT_MODEL

    def completion(self, answer: Answer) -> ChatCompletion:
        """The whole answer."""
        message = {"role": "assistant", "content": answer.content}
        choice: JsonObject = {
            "index": 0,
            "message": message,
            "finish_reason": finish_reason(answer),
        }
        return ChatCompletion(
            id=self._id,
            object="chat.completion",
            created=self._created,
            model=answer.model or self._model,
            choices=[choice],
            usage=usage_of(answer.usage),
        )

    def chunk(self, delta: JsonObject, finish: str | None = None) -> JsonObject:
        """A piece of the answer."""
        return self._chunk([{"index": 0, "delta": delta, "finish_reason": finish}])

    def usage_chunk(self, answer: Answer) -> JsonObject:
        """The last chunk, with the usage and no choice."""
        return {**self._chunk([]), "usage": usage_of(answer.usage)}

    def _chunk(self, choices: list[JsonObject]) -> JsonObject:
        return {
            "id": self._id,
            "object": "chat.completion.chunk",
            "created": self._created,
            "model": self._model,
            "choices": choices,
        }


def finish_reason(answer: Answer) -> str:
    """Why the answer ends. A turn that was cut at its last round has no proper end either."""
    return "length" if answer.truncated else _FINISH_REASONS.get(answer.stop_reason or "", "stop")


def usage_of(usage: Usage | None) -> JsonObject:
    """OpenAI's usage; zeros when there is none."""
    usage = usage or Usage()
    return {
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.total,
    }
