"""Messages as callers send them, as drivers get them."""

from __future__ import annotations

import msgspec
import pytest

from agentos.workers.llm_router.conversation import (
    Image,
    Message,
    ToolResult,
    build_turns,
    parse_arguments,
)
from iii_sdk.errors import InvalidInput


def read(*messages):
    return msgspec.convert(list(messages), list[Message])


def turns_of(*messages, system="", results=()):
    return build_turns(read(*messages), system, list(results))


def test_system_messages_follow_the_system_prompt():
    system, turns = turns_of(
        {"role": "system", "content": "b"},
        {"role": "user", "content": "hi", "score": 0.3, "timestamp": 1, "id": "x"},
        {"role": "developer", "content": "c"},
        system="a",
    )
    assert system == "a\n\nb\n\nc"
    assert [(turn.role, turn.text) for turn in turns] == [("user", "hi")]


def test_both_shapes_of_a_call():
    ours = {"callId": "t1", "id": "a::b", "arguments": {"x": 1}}
    theirs = {"id": "t2", "type": "function", "function": {"name": "a__b", "arguments": '{"x":2}'}}
    _, turns = turns_of(
        {"role": "user", "content": "go"},
        {"role": "assistant", "content": None, "tool_calls": [ours, theirs]},
        {"role": "tool", "tool_call_id": "t1", "content": "one"},
    )
    calls = [(call.call_id, call.id, call.arguments) for call in turns[1].calls]
    assert calls == [("t1", "a::b", {"x": 1}), ("t2", "a__b", {"x": 2})]
    assert (turns[2].role, turns[2].call_id) == ("tool", "t1")


def test_older_results_are_appended():
    call = {"callId": "t1", "id": "a::b", "arguments": {}}
    _, turns = turns_of(
        {"role": "assistant", "content": "", "tool_calls": [call]},
        results=[ToolResult("t1", {"ok": True})],
    )
    assert (turns[-1].role, turns[-1].text) == ("tool", '{"ok":true}')


def test_a_result_without_its_call_becomes_text():
    _, turns = turns_of({"role": "tool", "tool_call_id": "gone", "content": "42"})
    assert turns[0].role == "user"
    assert "42" in turns[0].text


def test_images():
    _, turns = turns_of(
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "see"},
                {"type": "image", "mediaType": "image/jpeg", "data": "AAAA"},
                {"type": "image_url", "image_url": {"url": "data:image/gif;base64,BBBB"}},
                {"type": "image", "url": "https://example.com/a.png"},
            ],
        }
    )
    assert turns[0].text == "see"
    assert turns[0].images == [
        Image(media_type="image/jpeg", data="AAAA"),
        Image(media_type="image/gif", data="BBBB"),
        Image(url="https://example.com/a.png"),
    ]


@pytest.mark.parametrize(
    ("message", "path"),
    [
        ({"role": "robot", "content": ""}, r"\$\.messages\[0\]\.role"),
        ({"role": "tool", "content": "x"}, r"\$\.messages\[0\]\.tool_call_id"),
        ({"role": "user", "content": [{"type": "video"}]}, r"\$\.messages\[0\]\.content\[0\]"),
        ({"role": "user", "content": [{"type": "image"}]}, r"\$\.messages\[0\]\.content\[0\]"),
        ({"role": "assistant", "tool_calls": [{"id": "x"}]}, r"\$\.messages\[0\]\.tool_calls"),
    ],
)
def test_what_cannot_be_read_is_named_by_its_path(message, path):
    with pytest.raises(InvalidInput, match=path):
        turns_of(message)


@pytest.mark.parametrize(
    ("text", "arguments"),
    [("", {}), ("  ", {}), ('{"a":1}', {"a": 1}), ("{broken", {"_raw": "{broken"})],
)
def test_arguments(text, arguments):
    assert parse_arguments(text) == arguments
