"""The OpenAI chat format, without a network."""

from __future__ import annotations

import msgspec

from agentos.workers.llm_router.catalogue import catalogue
from agentos.workers.llm_router.conversation import Image, Prompt, Tool, ToolCall, Turn
from agentos.workers.llm_router.drivers.openai_wire import Collector, WireAnswer, request_body
from agentos.workers.llm_router.names import NameMap

BOOK = catalogue()
TOOL = Tool("memory::user_profile::get", "reads", {"type": "object", "properties": {}})
ROUND = [
    Turn("user", "go"),
    Turn("assistant", "", calls=[ToolCall("call-one", "memory::user_profile::get", {"a": 1})]),
    Turn("tool", "42", call_id="call-one"),
]


def body_of(provider="openai", *, stream=False, **fields):
    prompt = Prompt(**{"model": "m", "max_tokens": 100, "turns": ROUND, **fields})
    return request_body(prompt, BOOK.providers[provider], NameMap(), stream=stream)


def reply_to(*answers, names=None):
    collector = Collector(names or NameMap(), "asked")
    texts = [collector.add(msgspec.convert(answer, WireAnswer)) for answer in answers]
    return collector.reply(), texts


def test_a_tool_round_on_the_wire():
    body = body_of(system="be brief", tools=[TOOL], temperature=0.5, stop=["END"])
    assert body == {
        "model": "m",
        "max_tokens": 100,
        "temperature": 0.5,
        "stop": ["END"],
        "messages": [
            {"role": "system", "content": "be brief"},
            {"role": "user", "content": "go"},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {
                        "id": "call-one",
                        "type": "function",
                        "function": {"name": "memory__user_profile__get", "arguments": '{"a":1}'},
                    }
                ],
            },
            {"role": "tool", "tool_call_id": "call-one", "content": "42"},
        ],
        "tools": [
            {
                "type": "function",
                "function": {
                    "name": "memory__user_profile__get",
                    "description": "reads",
                    "parameters": {"type": "object", "properties": {}},
                },
            }
        ],
    }


def test_reasoning_models_take_other_parameters():
    body = body_of(model="o3", temperature=0.5, top_p=0.9)
    assert body["max_completion_tokens"] == 100
    assert not {"max_tokens", "temperature", "top_p"} & set(body)
    assert "max_tokens" in body_of("groq", model="o3")


def test_usage_is_asked_for_in_streams_where_that_is_allowed():
    assert body_of(stream=True)["stream_options"] == {"include_usage": True}
    for provider in ("cohere", "mistral", "perplexity"):
        body = body_of(provider, stream=True)
        assert body["stream"]
        assert "stream_options" not in body


def test_mistral_gets_call_ids_of_nine():
    messages = body_of("mistral")["messages"]
    given, echoed = messages[1]["tool_calls"][0]["id"], messages[2]["tool_call_id"]
    assert given == echoed
    assert len(given) == 9
    assert given.isalnum()


def test_perplexity_gets_no_tools_and_strict_turns():
    turns = [*ROUND, Turn("user", "and?")]
    body = body_of("perplexity", tools=[TOOL], turns=turns)
    assert "tools" not in body
    assert body["messages"] == [{"role": "user", "content": "go\n\n42\n\nand?"}]


def test_images():
    images = [Image(media_type="image/png", data="AA"), Image(url="https://example.com/x.png")]
    content = body_of(turns=[Turn("user", "see", images)])["messages"][0]["content"]
    assert [part["type"] for part in content] == ["text", "image_url", "image_url"]
    assert content[1]["image_url"]["url"] == "data:image/png;base64,AA"


def test_llm_router_case_8_text_of_the_answer():
    reply, _ = reply_to({"choices": [{"message": {"content": "that text"}}]})
    assert (reply.text, reply.calls, reply.stop_reason) == ("that text", [], "end")
    assert reply.model == "asked"


def test_llm_router_case_9_a_call_comes_back_under_its_function_id():
    names = NameMap()
    name = names.name("memory::user_profile::get")
    call = {"id": "c1", "function": {"name": name, "arguments": '{"agentId":"a"}'}}
    message = {"content": None, "tool_calls": [call]}
    reply, _ = reply_to({"choices": [{"message": message, "finish_reason": "stop"}]}, names=names)
    assert reply.calls == [ToolCall("c1", "memory::user_profile::get", {"agentId": "a"})]
    assert (reply.text, reply.stop_reason) == ("", "tool_calls")


def test_services_that_send_arguments_as_an_object_or_no_id():
    call = {"function": {"name": "f", "arguments": {"a": 1}}}
    reply, _ = reply_to({"choices": [{"message": {"content": "", "tool_calls": [call]}}]})
    assert reply.calls == [ToolCall("call_0", "f", {"a": 1})]


def test_content_as_a_list_of_parts():
    parts = [{"type": "text", "text": "a"}, {"type": "reference"}, {"type": "text", "text": "b"}]
    assert reply_to({"choices": [{"message": {"content": parts}}]})[0].text == "ab"


def test_a_stream_is_put_together():
    def delta(**fields):
        return {"choices": [{"delta": fields}], "model": "real"}

    fragments = [{"index": 1, "function": {"arguments": part}} for part in ('{"x"', ":1}")]
    reply, texts = reply_to(
        delta(role="assistant", content=""),
        delta(content="Hel"),
        delta(content="lo"),
        delta(tool_calls=[{"index": 0, "id": "a", "function": {"name": "f", "arguments": ""}}]),
        delta(tool_calls=[{"index": 1, "id": "b", "function": {"name": "g", "arguments": ""}}]),
        delta(tool_calls=[fragments[0]]),
        delta(tool_calls=[fragments[1]]),
        {"choices": [{"delta": {}, "finish_reason": "tool_calls"}]},
        {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}},
    )
    assert "".join(texts) == reply.text == "Hello"
    assert reply.calls == [ToolCall("a", "f", {}), ToolCall("b", "g", {"x": 1})]
    assert (reply.usage.input, reply.usage.output, reply.usage.total) == (3, 4, 7)
    assert reply.model == "real"


def test_cached_input_is_counted_apart():
    details = {"cached_tokens": 80}
    usage = {"prompt_tokens": 100, "completion_tokens": 5, "prompt_tokens_details": details}
    reply, _ = reply_to({"choices": [{"message": {}}], "usage": usage})
    assert (reply.usage.input, reply.usage.cache_read, reply.uncached_input) == (100, 80, 20)


def test_errors_inside_good_answers():
    openrouter = msgspec.convert({"error": {"code": 402, "message": "no credit"}}, WireAnswer)
    minimax = {"base_resp": {"status_code": 1004, "status_msg": "bad key"}}
    assert openrouter.failure() == (402, '{"code":402,"message":"no credit"}')
    assert msgspec.convert(minimax, WireAnswer).failure() == (502, "1004 bad key")
    assert msgspec.convert({"base_resp": {"status_code": 0}}, WireAnswer).failure() is None


def test_stop_reasons():
    for wire, ours in (("length", "length"), ("content_filter", "content_filter"), ("eos", "end")):
        answer = {"choices": [{"message": {"content": "x"}, "finish_reason": wire}]}
        assert reply_to(answer)[0].stop_reason == ours
