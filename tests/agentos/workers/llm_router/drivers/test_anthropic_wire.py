"""The Anthropic messages format, without a network."""

from __future__ import annotations

import msgspec

from agentos.workers.llm_router.conversation import Image, Prompt, Tool, ToolCall, Turn
from agentos.workers.llm_router.drivers.anthropic_wire import (
    Collector,
    WireEvent,
    WireMessage,
    reply_of,
    request_body,
)
from agentos.workers.llm_router.names import NameMap

TOOL = Tool("memory::recall", "recalls", {"type": "object", "properties": {}})


def body_of(*turns, stream=False, **fields):
    prompt = Prompt(**{"model": "m", "max_tokens": 100, "turns": list(turns), **fields})
    return request_body(prompt, NameMap(), stream=stream)


def read(blocks, stop="end_turn", usage=None):
    message = {"content": blocks, "model": "m", "stop_reason": stop, "usage": usage or {}}
    return reply_of(msgspec.convert(message, WireMessage), NameMap())


def test_llm_router_case_16_results_of_a_round_share_one_message():
    calls = [ToolCall("t1", "memory::recall", {"q": 1}), ToolCall("t2", "memory::recall", {})]
    messages = body_of(
        Turn("user", "go"),
        Turn("assistant", "Let me see.", calls=calls),
        Turn("tool", "one", call_id="t1"),
        Turn("tool", "two", call_id="t2"),
    )["messages"]
    assert [message["role"] for message in messages] == ["user", "assistant", "user"]
    assert [block["type"] for block in messages[1]["content"]] == ["text", "tool_use", "tool_use"]
    assert messages[1]["content"][1] == {
        "type": "tool_use",
        "id": "t1",
        "name": "memory__recall",
        "input": {"q": 1},
    }
    assert messages[2]["content"] == [
        {"type": "tool_result", "tool_use_id": "t1", "content": "one"},
        {"type": "tool_result", "tool_use_id": "t2", "content": "two"},
    ]


def test_roles_alternate_and_begin_with_the_user():
    turns = [Turn("assistant", "a"), Turn("user", "b"), Turn("user", "c"), Turn("user", " ")]
    messages = body_of(*turns)["messages"]
    assert [message["role"] for message in messages] == ["user", "assistant", "user"]
    assert [block["text"] for block in messages[2]["content"]] == ["b", "c"]
    assert body_of()["messages"][0]["role"] == "user"


def test_long_prefixes_are_cached():
    short = body_of(Turn("user", "hi"), system="brief", tools=[TOOL])
    assert "cache_control" not in short["system"][-1]
    long = body_of(Turn("user", "hi"), system="word " * 2000, tools=[TOOL, TOOL])
    assert long["system"][-1]["cache_control"] == {"type": "ephemeral"}
    assert long["tools"][-1]["cache_control"] == {"type": "ephemeral"}
    assert "cache_control" not in long["tools"][0]


def test_images():
    images = [Image(media_type="image/png", data="AA"), Image(url="https://example.com/x.png")]
    blocks = body_of(Turn("user", "see", images))["messages"][0]["content"]
    assert [block["source"]["type"] for block in blocks[:2]] == ["base64", "url"]


def test_llm_router_case_8_call_before_text():
    call = {"type": "tool_use", "id": "t1", "name": "search", "input": {"q": "rust"}}
    text = {"type": "text", "text": "Here is what I found."}
    reply = read([call, text], "tool_use")
    assert reply.text == "Here is what I found."
    assert reply.calls == [ToolCall("t1", "search", {"q": "rust"})]
    assert read([call], "tool_use").text == ""


def test_usage_and_stop_reasons():
    usage = {"input_tokens": 1, "output_tokens": 2, "cache_read_input_tokens": 3}
    reply = read([{"type": "thinking", "thinking": "hm"}], "max_tokens", usage)
    assert (reply.usage.total, reply.usage.cache_read, reply.uncached_input) == (3, 3, 1)
    assert reply.stop_reason == "length"
    assert read([], "refusal").stop_reason == "content_filter"
    assert read([], "stop_sequence").stop_reason == "stop_sequence"


def test_a_stream_is_put_together():
    start = {"content": [], "model": "real", "usage": {"input_tokens": 9, "output_tokens": 1}}
    call = {"type": "tool_use", "id": "t1", "name": "memory__recall", "input": {}}
    events = [
        {"type": "message_start", "message": start},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": _text("Hel")},
        {"type": "content_block_delta", "index": 0, "delta": _text("lo")},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta"}},
        {"type": "content_block_start", "index": 1, "content_block": call},
        {"type": "content_block_delta", "index": 1, "delta": _json('{"q"')},
        {"type": "content_block_delta", "index": 1, "delta": _json(":1}")},
        {"type": "content_block_stop", "index": 1},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "tool_use"},
            "usage": {"output_tokens": 7},
        },
        {"type": "message_stop"},
    ]
    names = NameMap()
    names.name("memory::recall")
    collector = Collector(names, "asked")
    texts = [collector.add(msgspec.convert(event, WireEvent)) for event in events]
    reply = collector.reply()
    assert "".join(texts) == reply.text == "Hello"
    assert reply.calls == [ToolCall("t1", "memory::recall", {"q": 1})]
    assert (reply.usage.input, reply.usage.output) == (9, 7)
    assert (reply.model, reply.stop_reason) == ("real", "tool_calls")


def _text(text):
    return {"type": "text_delta", "text": text}


def _json(text):
    return {"type": "input_json_delta", "partial_json": text}
