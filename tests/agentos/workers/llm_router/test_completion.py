"""Completions against real HTTP servers that follow a script."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from tests.support.endpoint import Endpoint
from tests.support.openai_server import OpenAIServer
from tests.support.scripted_http import Scripted

from iii_sdk.errors import (
    InvalidInput,
    NotConfigured,
    RateLimited,
    Timeout,
    Unavailable,
    UpstreamError,
)

KEY = "secret-key-of-the-test"
HAIKU = {"provider": "anthropic", "model": "claude-haiku-4-5", "maxTokens": 1000}
GPT = {"provider": "openai", "model": "gpt-4o", "maxTokens": 1000}


async def test_llm_router_case_6_unknown_provider(desk):
    with pytest.raises(InvalidInput, match="Unknown provider: unknown"):
        await desk.complete(model={"provider": "unknown", "model": "x", "maxTokens": 1000})


async def test_llm_router_case_7_object_form_against_anthropic(desk, anthropic):
    anthropic.then_send({"type": "text", "text": "mock response"})
    answer = await desk.complete(model=HAIKU, systemPrompt="be brief")
    assert answer.content == "mock response"
    assert (answer.usage.input, answer.usage.output, answer.usage.total) == (100, 200, 300)
    assert answer.duration_ms >= 0
    assert (answer.provider, answer.stop_reason, answer.tool_calls) == ("anthropic", "end", [])
    (request,) = anthropic.requests
    assert request.path == "/v1/messages"
    assert request.headers["x-api-key"] == KEY
    assert request.headers["anthropic-version"] == "2023-06-01"
    assert request.body["system"] == [{"type": "text", "text": "be brief"}]
    (update,) = desk.bus.updates("costs")
    assert update["key"] == datetime.now(UTC).strftime("%Y-%m-%d")
    nanos = 100 * 800 + 200 * 4000
    assert {op["path"]: op["by"] for op in update["ops"]} == {
        "claude-haiku-4-5.costNanos": nanos,
        "claude-haiku-4-5.calls": 1,
        "totalCostNanos": nanos,
        "totalCalls": 1,
    }
    (row,) = desk.router.accounts.rows([])
    assert (row.requests, row.input_tokens, row.output_tokens) == (1, 100, 200)


async def test_llm_router_case_8_text_of_an_openai_answer(desk, openai):
    openai.then_say("that text")
    answer = await desk.complete(model=GPT)
    assert answer.content == "that text"
    assert openai.requests[0].headers["authorization"] == f"Bearer {KEY}"


async def test_llm_router_case_9_function_ids_come_back(desk, openai):
    openai.then_call(("t1", "memory__user_profile__get", {"agentId": "a"}))
    answer = await desk.complete(
        model=GPT, functions=[{"function_id": "memory::user_profile::get", "description": "d"}]
    )
    assert answer.tool_calls == [
        {"callId": "t1", "id": "memory::user_profile::get", "arguments": {"agentId": "a"}}
    ]
    assert answer.stop_reason == "tool_calls"


async def test_llm_router_case_10_flat_form_counts(desk, anthropic):
    anthropic.then_send({"type": "text", "text": "READY"})
    answer = await desk.complete(
        provider="anthropic",
        model="claude-haiku-4-5-20251001",
        messages=[{"role": "user", "content": "Reply with the word READY only."}],
        max_tokens=50,
    )
    assert "READY" in answer.content
    assert anthropic.requests[0].body["max_tokens"] == 50
    (row,) = desk.router.accounts.rows([])
    assert (row.provider, row.requests) == ("anthropic", 1)
    assert desk.bus.updates("costs")  # dated ids have the price of their row


async def test_llm_router_case_12_429_twice_then_success(desk, openai):
    openai.then_fail(429)
    openai.then_fail(429)
    openai.then_say("at last")
    assert (await desk.complete(model=GPT)).content == "at last"
    assert desk.slept == [1.0, 2.0]


async def test_llm_router_case_12_429_three_times(desk, openai):
    for _ in range(3):
        openai.then_fail(429, retry_after="3")
    with pytest.raises(RateLimited, match="openai API error 429") as caught:
        await desk.complete(model=GPT)
    assert (caught.value.status, caught.value.retry_after) == (429, 3)
    assert len(openai.requests) == 3
    assert desk.slept == [3.0, 3.0]


async def test_llm_router_case_12_400_once(desk, anthropic):
    anthropic.then_fail(400, "messages: too long")
    with pytest.raises(UpstreamError, match=r"anthropic API error 400: .*too long"):
        await desk.complete(model=HAIKU)
    assert len(anthropic.requests) == 1


async def test_500_is_tried_again(desk, anthropic):
    anthropic.then_fail(529)
    anthropic.then_send({"type": "text", "text": "fine"})
    assert (await desk.complete(model=HAIKU)).content == "fine"


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refused_key_is_not_shown(desk, openai, status):
    openai.then_fail(status, f"Incorrect API key provided: {KEY}")
    with pytest.raises(UpstreamError, match="OPENAI_API_KEY") as caught:
        await desk.complete(model=GPT)
    assert KEY not in caught.value.message
    assert f"openai API error {status}" in caught.value.message


async def test_a_provider_that_is_down(desk, openai):
    await openai.stop()
    with pytest.raises(Unavailable, match=f"openai at {openai_origin(desk)}"):
        await desk.complete(model=GPT)
    assert desk.slept == [1.0, 2.0]


def openai_origin(desk):
    return desk.environ["OPENAI_BASE_URL"].removesuffix("/v1")


async def test_a_provider_that_hangs(desk, openai):
    openai.then_hang()
    with pytest.raises(Timeout, match=r"openai did not answer within 0\.1 s"):
        await desk.complete(model=GPT, timeoutMs=100)


async def test_an_error_inside_a_good_answer(desk, openai):
    openai.then_body({"error": {"code": 402, "message": "no credit"}})
    with pytest.raises(UpstreamError, match=r"openai API error 402: .*no credit"):
        await desk.complete(model=GPT)


@pytest.mark.parametrize("body", [{"choices": []}, {"choices": "x"}, []])
async def test_an_answer_that_is_none(desk, openai, body):
    openai.then_body(body)
    with pytest.raises(UpstreamError, match="openai sent"):
        await desk.complete(model=GPT)


async def test_redirects_are_not_followed(desk, openai):
    openai.then_fail(307)
    with pytest.raises(UpstreamError, match="307"):
        await desk.complete(model=GPT)
    assert len(openai.requests) == 1


async def test_answers_that_are_too_large(desk, openai):
    openai.then_body({"choices": [{"message": {"content": "x" * (21 * 1024 * 1024)}}]})
    with pytest.raises(UpstreamError, match="larger than"):
        await desk.complete(model=GPT)


async def test_nothing_from_the_environment_of_the_client_leaks(desk, openai, monkeypatch):
    monkeypatch.setenv("OPENAI_ORG_ID", "org-private")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "X-Private: yes")
    await desk.complete(model=GPT)
    headers = openai.requests[0].headers
    assert "openai-organization" not in headers
    assert "x-private" not in headers


async def test_local_servers_get_no_key(desk, openai):
    desk.environ["VLLM_BASE_URL"] = openai.url
    answer = await desk.complete(provider="vllm", model="whatever/model")
    assert (answer.provider, answer.model) == ("vllm", "whatever/model")
    assert "authorization" not in openai.requests[0].headers


async def test_a_profile_has_its_own_server(desk, openai):
    async with OpenAIServer() as other:
        desk.environ.update(OPENAI_API_KEY_TEAM="team-key", OPENAI_BASE_URL_TEAM=other.url)
        answer = await desk.complete(provider="openai@team", model="gpt-4o")
        assert answer.provider == "openai@team"
        assert other.chats[0].headers["authorization"] == "Bearer team-key"
        assert openai.requests == []
        assert desk.bus.updates("costs")
        await desk.router.drivers.aclose()


async def test_names_go_through_the_catalogue(desk, openai):
    desk.environ.update(GROQ_API_KEY=KEY, GROQ_BASE_URL=openai.url)
    answer = await desk.complete(model="llama", max_tokens=99)
    assert answer.provider == "groq"
    assert openai.chats[0].body["model"] == "llama-3.3-70b-versatile"


async def test_models_without_tools_get_none_and_limits_are_kept(desk, openai):
    desk.environ.update(PERPLEXITY_API_KEY=KEY, PERPLEXITY_BASE_URL=openai.url)
    await desk.complete(model="sonar-pro", functions=[{"id": "a::b"}], max_tokens=100_000)
    body = openai.chats[0].body
    assert "tools" not in body
    assert body["max_tokens"] == 8192


async def test_images_only_where_they_are_seen(desk, openai):
    desk.environ.update(DEEPSEEK_API_KEY=KEY, DEEPSEEK_BASE_URL=openai.url)
    picture = [{"type": "image", "data": "AA"}]
    messages = [{"role": "user", "content": picture}]
    with pytest.raises(InvalidInput, match="deepseek-chat does not take images"):
        await desk.complete(model="deepseek-chat", messages=messages)
    assert (await desk.complete(model=GPT, messages=messages)).content


async def test_a_named_provider_without_a_key_is_an_error(desk):
    with pytest.raises(NotConfigured, match="OPENAI_API_KEY not set"):
        await desk.complete(model=GPT)


async def test_with_nothing_named_anyone_who_can_answers(desk, openai):
    assert (await desk.complete()).provider == "openai"
    openai_free = {k: v for k, v in desk.environ.items() if not k.startswith("OPENAI")}
    desk.environ.clear()
    desk.environ.update(openai_free)
    answer = await desk.complete()
    assert (answer.provider, answer.model) == ("offline", "offline")
    assert "OPENAI_API_KEY" in answer.content


async def test_the_default_model_comes_from_the_environment(desk, openai):
    desk.environ["LLM_MODEL_SMART"] = "openai/gpt-4.1"
    assert (await desk.complete()).model == "gpt-4.1"


async def test_a_local_provider_without_a_model_uses_what_it_serves(desk, openai):
    desk.environ["OLLAMA_BASE_URL"] = openai.url
    assert (await desk.complete(provider="ollama")).model == "gpt-4o"
    with pytest.raises(InvalidInput, match="name a model of vllm"):
        await desk.complete(provider="vllm")


async def test_stream_of_openai(desk, openai, events):
    openai.then_say("Hello there", pieces=["Hel", "lo ", "there"])
    answer = await desk.stream(events, model=GPT)
    assert answer.content == events.text == "Hello there"
    assert events.types == ["start", "text", "text", "text", "usage", "end"]
    assert events.seen[0] == {"type": "start", "model": "gpt-4o", "provider": "openai"}
    assert events.seen[-2]["total"] == answer.usage.total == 30
    assert events.seen[-1] == {"type": "end", "stopReason": "end"}
    assert events.closed
    assert len(desk.bus.updates("costs")) == 1


async def test_stream_with_a_call(desk, openai, events):
    openai.then_call(("t1", "memory__recall", {"query": "x"}), text="Let me look.")
    answer = await desk.stream(events, model=GPT, functions=[{"id": "memory::recall"}])
    call = {"callId": "t1", "id": "memory::recall", "arguments": {"query": "x"}}
    assert answer.tool_calls == [call]
    assert {"type": "tool_call", **call} in events.seen
    assert events.seen[-1]["stopReason"] == "tool_calls"


async def test_stream_of_anthropic(desk, anthropic, events):
    call = {"type": "tool_use", "id": "t1", "name": "memory__recall", "input": {"q": [1]}}
    anthropic.then_send({"type": "text", "text": "Hel|lo"}, call, stop="tool_use")
    answer = await desk.stream(events, model=HAIKU, functions=[{"id": "memory::recall"}])
    assert events.types == ["start", "text", "text", "tool_call", "usage", "end"]
    assert events.text == "Hello"
    assert answer.tool_calls[0]["arguments"] == {"q": [1]}
    assert (answer.usage.input, answer.usage.output) == (100, 200)


async def test_a_stream_is_retried_only_before_its_first_piece(desk, openai, events):
    openai.then_fail(500)
    openai.then_stream_raw(piece("Hel"), cut=True)
    with pytest.raises(Unavailable):
        await desk.stream(events, model=GPT)
    assert len(openai.requests) == 2
    assert events.types == ["start", "text", "error"]
    assert events.seen[-1]["code"] == "unavailable"
    assert events.closed


async def test_a_stream_that_reports_an_error(desk, openai, anthropic, events):
    openai.then_stream_raw(b'data: {"error": {"message": "overloaded"}}\n\n')
    openai.script.extend(list(openai.script) * 2)
    with pytest.raises(UpstreamError, match="overloaded"):
        await desk.stream(events, model=GPT)
    failure = {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}
    anthropic.then_stream_raw(failure)
    anthropic.script.extend(list(anthropic.script) * 2)
    with pytest.raises(UpstreamError, match=r"anthropic API error 502: .*busy"):
        await desk.stream(events, model=HAIKU)
    assert events.types.count("error") == 2


DONE = b"data: [DONE]\n\n"


@pytest.mark.parametrize(
    ("rest", "cut"), [((), False), ((), True), ((DONE,), False)], ids=["ends", "cut", "done"]
)
async def test_a_stream_without_a_finish_is_no_answer(desk, openai, events, rest, cut):
    openai.then_stream_raw(piece("Hel"), piece("lo"), *rest, cut=cut)
    with pytest.raises((UpstreamError, Unavailable), match="openai"):
        await desk.stream(events, model=GPT)
    assert events.types == ["start", "text", "text", "error"]
    assert len(openai.requests) == 1
    assert desk.router.accounts.rows([]) == []


async def test_a_socket_that_closes_is_no_end_of_an_answer(desk, events):
    """Without a length or chunks only the socket could say that the answer is whole."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
    said = head + piece("Hel") + piece("lo")
    async with Endpoint(lambda _: said, close_after=1) as server:
        desk.environ.update(OPENAI_API_KEY=KEY, OPENAI_BASE_URL=f"{server.url}/v1")
        with pytest.raises(UpstreamError, match="openai broke off its answer"):
            await desk.stream(events, model=GPT)
        await desk.router.drivers.aclose()
    assert events.types == ["start", "text", "text", "error"]


@pytest.mark.parametrize("body", [b"<html>welcome</html>", b"", b'{"choices":[]}'])
async def test_a_good_status_without_a_stream_is_no_answer(desk, openai, anthropic, events, body):
    for server, model in ((openai, GPT), (anthropic, HAIKU)):
        server.script.append(Scripted(200, body))
        with pytest.raises(UpstreamError, match="without events"):
            await desk.stream(events, model=model)
        assert len(server.requests) == 1
    assert events.types == ["start", "error"] * 2


async def test_an_anthropic_stream_without_its_stop_is_no_answer(desk, anthropic, events):
    delta = {"type": "text_delta", "text": "Hel"}
    ended = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}}
    anthropic.then_stream_raw({"type": "content_block_delta", "delta": delta}, ended)
    with pytest.raises(UpstreamError, match="anthropic broke off its answer"):
        await desk.stream(events, model=HAIKU)
    assert events.types == ["start", "text", "error"]


async def test_a_stream_that_breaks_off_before_its_first_piece_is_tried_again(desk, openai, events):
    openai.then_stream_raw(piece(""))
    openai.then_say("Hello")
    assert (await desk.stream(events, model=GPT)).content == "Hello"
    assert events.types == ["start", "text", "usage", "end"]


async def test_a_stream_that_hangs(desk, openai, events):
    openai.then_stream_raw(piece("Hel"), hang=True)
    with pytest.raises(Timeout):
        await desk.stream(events, model=GPT, timeoutMs=150)
    assert events.types == ["start", "text", "error"]


async def test_a_reader_that_leaves_ends_the_stream(desk, openai, events):
    events.limit = 2
    openai.then_stream_raw(piece("a"), piece("b"), hang=True)
    with pytest.raises(Unavailable, match="reader"):
        await desk.stream(events, model=GPT)
    assert events.closed
    assert desk.router.accounts.rows([]) == []


async def test_the_offline_stream(desk, events):
    answer = await desk.stream(events, model="offline")
    assert events.text == answer.content
    assert events.types.count("text") > 10


def piece(text):
    chunk = {"model": "m", "choices": [{"index": 0, "delta": {"content": text}}]}
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"
