"""The routes over real HTTP."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import httpx2
import pytest
from tests.agentos.workers.api.conftest import CHAT, Face

from agentos.kernel.security_headers import SECURITY_HEADERS
from iii_sdk import BusError, InvalidInput, Timeout, Unavailable, UpstreamError


def assert_secured(answer: httpx2.Response) -> None:
    assert {n: answer.headers.get(n) for n in SECURITY_HEADERS} == SECURITY_HEADERS


async def test_api_case_1_a_completion(face: Face) -> None:
    answer = await face.complete("Hello", model="claude-sonnet-4-6")
    assert answer.status_code == 200
    body = answer.json()
    assert body["object"] == "chat.completion"
    (choice,) = body["choices"]
    assert choice["message"] == {"role": "assistant", "content": "Hi there"}
    assert choice["finish_reason"] == "stop"
    assert body["usage"] == {"prompt_tokens": 10, "completion_tokens": 20, "total_tokens": 30}
    assert body["id"].startswith("chatcmpl-")
    assert body["created"] > 1_700_000_000
    assert_secured(answer)


async def test_api_case_2_the_last_message_is_the_message(face: Face) -> None:
    await face.complete("first", "reply", "second", user="Ada L.")
    (asked,) = face.chats
    assert asked["message"] == "second"
    assert asked["agentId"] == "default"
    assert asked["sessionId"] == "api:Ada_L."
    assert [(m["role"], m["content"]) for m in asked["history"]] == [
        ("user", "first"),
        ("assistant", "reply"),
    ]


@pytest.mark.parametrize("header", [{}, {"authorization": "Bearer wrong"}])
@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/v1/chat/completions"), ("GET", "/v1/models")]
)
async def test_api_case_3_v1_without_key(
    face: Face, method: str, path: str, header: dict[str, str]
) -> None:
    face.web.headers.pop("authorization")
    answer = await face.web.request(method, path, json={}, headers=header)
    assert answer.status_code == 401
    error = answer.json()["error"]
    assert error["code"] == "invalid_api_key"
    assert error["type"] == "invalid_request_error"
    assert error["param"] is None
    assert_secured(answer)


async def test_api_case_3_rest_without_key(face: Face, monkeypatch: pytest.MonkeyPatch) -> None:
    face.web.headers.pop("authorization")
    answer = await face.web.get("/api/agents")
    assert (answer.status_code, answer.json()) == (401, {"error": "Unauthorized"})
    assert_secured(answer)
    monkeypatch.delenv("AGENTOS_API_KEY")
    answer = await face.web.get("/api/agents")
    assert answer.status_code == 500
    assert answer.json() == {"error": "AGENTOS_API_KEY not configured"}


async def test_api_case_4_too_many_requests(face: Face) -> None:
    face.behind.answers["rate::check"] = {"allowed": False, "retryAfter": 60}
    answer = await face.web.get("/api/agents")
    assert answer.status_code == 429
    assert answer.json()["error"] == "Rate limit exceeded"
    assert answer.json()["retryAfter"] == 60
    assert answer.headers["retry-after"] == "60"
    answer = await face.complete("Hello")
    assert answer.status_code == 429
    assert answer.json()["error"]["type"] == "rate_limit_error"
    # The rate is checked before the input is looked at.
    assert (await face.web.post("/v1/chat/completions", json={})).status_code == 429


async def test_api_case_4_a_failing_limiter_lets_through(face: Face) -> None:
    face.behind.answers["rate::check"] = BusError("broken")
    assert (await face.complete("Hello")).status_code == 200
    operations = [asked["operation"] for asked in face.behind.asked("rate::check")]
    assert operations == ["message"]


async def test_api_case_5_headers_on_404_too(face: Face) -> None:
    assert_secured(await face.web.get("/api/agents/nobody"))
    assert_secured(await face.web.post("/v1/chat/completions", json={"messages": []}))


async def test_errors_of_the_engine_have_openais_form_on_v1(face: Face) -> None:
    headers = {"content-type": "application/json"}
    answer = await face.web.post("/v1/chat/completions", content=b"{", headers=headers)
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"
    answer = await face.web.put("/v1/chat/completions")
    assert answer.status_code == 405
    assert answer.json()["error"]["code"] == "method_not_allowed"
    answer = await face.web.post("/api/agents", content=b"{", headers=headers)
    assert answer.json()["error"] == "Invalid JSON body"


async def test_api_case_6_a_message_for_an_agent(face: Face) -> None:
    body = {"message": "Hello", "sessionId": "sess-1"}
    answer = await face.web.post("/api/agents/my-agent/message", json=body)
    assert face.chats == [{"agentId": "my-agent", "message": "Hello", "sessionId": "sess-1"}]
    assert answer.status_code == 200
    assert answer.json() == CHAT
    answer = await face.web.post("/api/agents/a%2Fb/message", json=body)
    assert answer.status_code == 400
    assert "Invalid ID format: a/b" in answer.json()["error"]
    answer = await face.web.post("/api/agents/x/message", json={})
    assert answer.status_code == 400
    assert "$.message" in answer.json()["error"]


async def test_the_alias_v1_chat(face: Face) -> None:
    answer = await face.web.post("/v1/chat", json={"message": "Hello"})
    assert answer.json()["content"] == "Hi there"
    await face.web.post("/v1/chat", json={"message": "Hello", "agentId": "b"})
    assert [asked["agentId"] for asked in face.chats] == ["default", "b"]


async def test_api_case_7_create_and_list(face: Face) -> None:
    await face.bus.state.set("agents", "a", {"id": "a", "name": "A", "createdAt": 5})
    answer = await face.web.post("/api/agents", json={"name": "a"})
    assert answer.status_code == 201
    assert answer.json() == {"agentId": "a", "id": "a", "name": "A", "createdAt": 5}
    answer = await face.web.get("/api/agents")
    assert (answer.status_code, answer.json()) == (200, [{"id": "a"}])


async def test_api_case_7_errors_of_create_keep_their_status(face: Face) -> None:
    face.behind.answers["agent::create"] = BusError("Agent already exists: a", code="conflict")
    assert (await face.web.post("/api/agents", json={"name": "a"})).status_code == 409
    face.behind.answers["agent::create"] = InvalidInput("$.name: missing")
    answer = await face.web.post("/api/agents", json={})
    assert (answer.status_code, answer.json()["error"]) == (400, "$.name: missing")


async def test_api_case_8_get_an_agent(face: Face) -> None:
    answer = await face.web.get("/api/agents/nonexistent")
    assert answer.status_code == 404
    assert answer.json()["error"] == "Agent not found"
    await face.bus.state.set("agents", "a", {"id": "a", "own": [1]})
    answer = await face.web.get("/api/agents/a")
    assert (answer.status_code, answer.json()) == (200, {"id": "a", "own": [1]})


async def test_api_case_9_delete(face: Face) -> None:
    answer = await face.web.delete("/api/agents/x")
    assert (answer.status_code, answer.content) == (204, b"")
    assert face.behind.asked("agent::delete") == [{"agentId": "x"}]


async def test_api_case_10_sessions(face: Face) -> None:
    await face.bus.state.set("sessions:agent1", "s1", {"sessionId": "s1"})
    answer = await face.web.get("/api/agents/agent1/sessions")
    assert answer.json() == [{"sessionId": "s1"}]


@pytest.mark.parametrize("path", ["/api/health", "/health"])
async def test_api_case_11_health(face: Face, path: str) -> None:
    body = (await face.web.get(path)).json()
    assert body["status"] == "healthy"
    assert body["workers"] >= 2
    assert body["uptime"] > 0
    assert body["version"][0].isdigit()
    face.web.headers.pop("authorization")
    answer = await face.web.get(path)
    assert (answer.status_code, answer.json()) == (200, {"status": "healthy"})


async def test_api_case_11_health_during_shutdown(face: Face) -> None:
    face.web.headers.pop("authorization")
    with face.worker.drain.counted():
        face.worker.drain.closing = True
        answer = await face.web.get("/api/health")
    assert answer.status_code == 503
    assert answer.json()["status"] == "shutting_down"
    assert answer.json()["inFlight"] == 1


@pytest.mark.parametrize(
    ("record", "total"),
    [
        (None, 0),
        ({"totalCost": 5.5}, 5.5),
        ({"totalCostNanos": 1_500_000_000}, 1.5),
    ],
)
async def test_api_case_12_costs(face: Face, record: Any, total: float) -> None:
    if record is not None:
        await face.bus.state.set("costs", f"{datetime.now(UTC):%Y-%m-%d}", record)
    assert (await face.web.get("/api/costs")).json()["totalCost"] == total


@pytest.mark.parametrize(
    ("query", "body", "expected"),
    [
        ("?query=test&limit=5", None, ("test", 5)),
        ("", {"query": "from body", "limit": 3}, ("from body", 3)),
        ("?limit=9999", None, ("", 200)),
        ("?limit=x", None, ("", 10)),
        ("?limit=-4", None, ("", 1)),
    ],
)
async def test_api_case_13_memory(
    face: Face, query: str, body: Any, expected: tuple[str, int]
) -> None:
    answer = await face.web.post(f"/api/agents/agent1/memory{query}", json=body)
    assert (answer.status_code, answer.json()) == (200, [{"content": "m"}])
    (asked,) = face.behind.asked("memory::recall")
    assert asked == {"agentId": "agent1", "query": expected[0], "limit": expected[1]}


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"messages": []}, "messages"),
        ({}, "messages"),
        ({"messages": "hello"}, "messages"),
        ({"messages": None}, "messages"),
        ({"messages": [{"role": "wizard", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, "messages"),
        ({"messages": [{"role": "user", "content": 7}]}, "messages[0].content"),
        (
            {"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]},
            "messages[0].content[0]",
        ),
        ({"messages": [{"role": "user", "content": "x"}], "model": "agent:a/b"}, "model"),
        ({"messages": [{"role": "user", "content": "x"}], "max_tokens": 0}, "max_tokens"),
    ],
)
async def test_api_case_14_bad_requests_name_the_field(face: Face, body: Any, param: str) -> None:
    answer = await face.web.post("/v1/chat/completions", json=body)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["param"] == param
    assert error["type"] == "invalid_request_error"
    assert error["message"]
    assert face.chats == []


async def test_unknown_fields_are_ignored(face: Face) -> None:
    answer = await face.complete("Hello", tools=[{"type": "function"}], logit_bias={}, n=1)
    assert answer.status_code == 200


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/chat/completions/stream"])
async def test_api_case_15_streamed(face: Face, path: str) -> None:
    async def talk(asked: Any) -> Any:
        writer = await face.bus.open_writer(_ref(asked["stream"]))
        await writer.send_text('{"type":"text","delta":"Hi"}\n{"type":"text","delta":" there"}\n')
        await writer.send_text(json.dumps({"type": "end", **CHAT}) + "\n")
        await writer.close()
        return CHAT

    _answer_with(face, talk)
    body = {
        "messages": [{"role": "user", "content": "x"}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    answer = await face.web.post(path, json=body)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert_secured(answer)
    *lines, last = [line for line in answer.text.split("\n\n") if line]
    assert last == "data: [DONE]"
    chunks = [json.loads(line.removeprefix("data: ")) for line in lines]
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert len({chunk["id"] for chunk in chunks}) == 1
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks[:-1]]
    assert deltas == [{"role": "assistant", "content": "Hi"}, {"content": " there"}, {}]
    reasons = [chunk["choices"][0]["finish_reason"] for chunk in chunks[:-1]]
    assert reasons == [None, None, "stop"]
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"]["total_tokens"] == 30


def _answer_with(face: Face, handler: Any) -> None:
    """Replace the stand-in's `agent::chat`, which cannot wait, by one that can."""
    face.behind.worker.remove("agent::chat")

    @face.behind.worker.function("agent::chat")
    async def chat(asked: dict[str, Any]) -> Any:
        return await handler(asked)


def _ref(value: Any) -> Any:
    from iii_sdk import ChannelRef

    return ChannelRef(**value)


REFUSED = [
    ("injection_rejected", 400, "invalid_request_error"),
    ("invalid_agent", 400, "invalid_request_error"),
    ("rate_limited", 429, "rate_limit_error"),
    ("concurrency", 429, "rate_limit_error"),
    ("budget_exceeded", 402, "insufficient_quota"),
    ("shutting_down", 503, "server_error"),
    ("malformed_tool_calls", 502, "server_error"),
]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("code", "status", "kind"), REFUSED)
async def test_refusals_of_a_turn(
    face: Face, code: str, status: int, kind: str, stream: bool
) -> None:
    refused = {"code": code, "message": "because", "retryAfter": 7}
    chat = {**CHAT, "content": "because", "error": refused}

    async def close_and_refuse(asked: Any) -> Any:
        if "stream" in asked:
            await (await face.bus.open_writer(_ref(asked["stream"]))).close()
        return chat

    _answer_with(face, close_and_refuse)
    answer = await face.complete("x", stream=stream)
    assert answer.status_code == status
    error = answer.json()["error"]
    assert (error["code"], error["type"], error["message"]) == (code, kind, "because")
    assert_secured(answer)
    if status == 429:
        assert answer.headers["retry-after"] == "7"


async def test_refusals_on_the_rest_route_keep_the_answer(face: Face) -> None:
    refused = {"code": "budget_exceeded", "message": "because"}
    face.behind.answers["agent::chat"] = {**CHAT, "content": "because", "error": refused}
    answer = await face.web.post("/api/agents/a/message", json={"message": "x"})
    assert answer.status_code == 402
    assert answer.json()["content"] == "because"
    assert answer.json()["error"] == "because"
    assert answer.json()["code"] == "budget_exceeded"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("failure", "status", "text"),
    [
        (Timeout("Chat timeout exceeded"), 504, "in time"),
        (UpstreamError("openai API error 500: down"), 502, "openai API error 500: down"),
        (Unavailable("no model answers"), 503, "no model answers"),
        (BusError("KeyError: 'secret'"), 502, "the agent failed to answer"),
        (BusError("Function llm::route not found", code="function_not_found"), 503, "not running"),
    ],
)
async def test_failures_of_a_turn(
    face: Face, failure: BusError, status: int, text: str, stream: bool
) -> None:
    face.behind.answers["agent::chat"] = failure
    answer = await face.complete("x", stream=stream)
    assert answer.status_code == status
    assert text in answer.json()["error"]["message"]
    assert "secret" not in answer.text


async def test_models(face: Face) -> None:
    await face.bus.state.set("agents", "a", {"id": "a"})
    body = (await face.web.get("/v1/models")).json()
    assert body["object"] == "list"
    assert body["data"] == [
        {"id": "gpt-4o", "object": "model", "created": 0, "owned_by": "openai"},
        {"id": "agent:a", "object": "model", "created": 0, "owned_by": "agentos"},
    ]
    assert (await face.web.get("/v1/models/agent:a")).json()["id"] == "agent:a"
    answer = await face.web.get("/v1/models/none")
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "not_found"


async def test_models_without_a_catalogue(face: Face) -> None:
    face.behind.worker.remove("catalog::models")
    assert (await face.web.get("/v1/models")).json()["data"] == []
