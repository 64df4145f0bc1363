"""Requests into turns, answers into completions."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from agentos.workers.api.answers import Answer
from agentos.workers.api.openai_format import (
    ChatCompletionRequest,
    Reply,
    chat_payload,
    finish_reason,
)
from iii_sdk import InvalidInput


def payload(*messages: Any, **fields: Any) -> dict[str, Any]:
    request = msgspec.convert({"messages": list(messages), **fields}, ChatCompletionRequest)
    return chat_payload(request)


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def test_leading_system_messages_become_the_system_prompt() -> None:
    made = payload(
        {"role": "system", "content": "Be brief."},
        {"role": "developer", "content": [{"type": "text", "text": "Be kind."}]},
        user("hi"),
    )
    assert made["systemPrompt"] == "Be brief.\n\nBe kind."
    assert made["history"] == []
    assert made["message"] == "hi"


def test_a_later_system_message_stays_in_the_conversation() -> None:
    made = payload(user("a"), {"role": "system", "content": "now French"}, user("b"))
    assert made["history"][1] == {"role": "system", "content": "now French"}
    assert "systemPrompt" not in made


def test_a_system_message_alone_is_the_message() -> None:
    assert payload({"role": "system", "content": "say hi"})["message"] == "say hi"


def test_text_parts_are_joined_and_images_go_along() -> None:
    url = "https://example.com/a.png"
    parts = [
        {"type": "text", "text": "What is "},
        {"type": "image_url", "image_url": {"url": url, "detail": "low"}},
        {"type": "text", "text": "this?"},
    ]
    made = payload(user(parts), {"role": "assistant", "content": "A cat"}, user(parts))
    assert made["message"] == "What is this?"
    assert made["images"] == [url]
    assert made["history"][0]["content"] == [
        {"type": "text", "text": "What is this?"},
        {"type": "image", "url": url},
    ]


def test_calls_and_results_of_the_client_s_own_tools_are_passed_on() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    made = payload(
        user("a"),
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "1"},
        user("b"),
    )
    assert made["history"][1]["tool_calls"] == [call]
    assert made["history"][2] == {"role": "tool", "content": "1", "tool_call_id": "c"}


@pytest.mark.parametrize(
    ("fields", "agent", "model"),
    [
        ({}, "default", None),
        ({"model": "gpt-4o"}, "default", "gpt-4o"),
        ({"model": "agent:coder"}, "coder", None),
        ({"model": "gpt-4o", "agent": "coder"}, "coder", "gpt-4o"),
        ({"model": None, "agent": None}, "default", None),
    ],
)
def test_which_agent_and_model(fields: dict[str, Any], agent: str, model: str | None) -> None:
    made = payload(user("x"), **fields)
    assert made["agentId"] == agent
    assert made.get("model") == model


def test_sessions() -> None:
    assert payload(user("x"), user="a b/c")["sessionId"] == "api:a_b_c"
    first, second = payload(user("x"))["sessionId"], payload(user("x"))["sessionId"]
    assert first != second
    assert first.startswith("api:")


def test_limits_are_passed_on() -> None:
    made = payload(user("x"), max_tokens=5, max_completion_tokens=7, temperature=0)
    assert (made["maxTokens"], made["temperature"]) == (7, 0)


@pytest.mark.parametrize("role", ["assistant", "tool"])
def test_the_last_message_must_come_from_the_user(role: str) -> None:
    with pytest.raises(InvalidInput, match="last message"):
        payload(user("x"), {"role": role, "content": "y", "tool_call_id": "c"})


def test_a_completion_without_usage_or_model() -> None:
    made = Reply(None).completion(Answer(content="x"))
    assert made.model == "claude-sonnet-4-6"
    assert made.usage == {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    assert Reply("asked").completion(Answer()).model == "asked"
    assert Reply("asked").completion(Answer(model="used")).model == "used"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answer(stop_reason="end"), "stop"),
        (Answer(stop_reason="stop_sequence"), "stop"),
        (Answer(stop_reason="length"), "length"),
        (Answer(stop_reason="content_filter"), "content_filter"),
        (Answer(stop_reason="end", truncated=True), "length"),
        (Answer(), "stop"),
    ],
)
def test_finish_reasons(answer: Answer, reason: str) -> None:
    assert finish_reason(answer) == reason
