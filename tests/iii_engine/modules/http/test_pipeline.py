"""Middleware, conditions, CORS and the limit of concurrent requests."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.support.waiting import until


async def test_modules_case_41_condition_not_met(site: Any) -> None:
    site.function("h", 1)
    site.function("never", False)
    site.route("/a", "h", "POST", condition_function_id="never")
    answer = await site.client.post("/a", json={"x": 1})
    assert answer.status_code == 422
    assert answer.json() == {"error": "Request condition not met", "skipped": True}
    asked = site.seen["never"][0]
    assert asked["body"] == {"x": 1}
    assert "request_body" not in asked
    assert "response" not in asked
    assert site.seen["h"] == []


@pytest.mark.parametrize("value", [0, None, "", {}])
async def test_modules_case_21_only_false_stops(site: Any, value: object) -> None:
    site.function("h", 1)
    site.function("c", value)
    site.route("/a", "h", _condition_path="c")
    assert (await site.client.get("/a")).json() == 1


async def test_modules_case_22_missing_condition_function(site: Any) -> None:
    site.function("h", 1)
    site.route("/a", "h", condition_function_id="nobody")
    answer = await site.client.get("/a")
    assert answer.status_code == 500
    assert answer.json()["error"] == "Function nobody not found"
    assert site.seen["h"] == []


async def test_modules_case_42_order_of_middleware(make_site: Any) -> None:
    site = await make_site(
        middleware=[
            {"function_id": "ten", "priority": 10},
            {"function_id": "five", "priority": 5},
            {"function_id": "other", "phase": "postHandler"},
        ]
    )
    order: list[str] = []

    def step(name: str, context: dict[str, int] | None = None) -> None:
        def result(payload: Any) -> dict[str, Any]:
            order.append(name)
            return {"action": "continue", "context": context}

        site.function(name, result)

    step("ten", {"a": 10, "b": 1})
    step("five", {"a": 5})
    step("own")
    site.function("condition", lambda payload: order.append("condition"))
    site.function("h", lambda payload: order.append("h"))
    site.route("/a/:id", "h", condition_function_id="condition", middleware_function_ids=["own"])
    await site.client.get("/a/1?q=2")
    assert order == ["five", "ten", "condition", "own", "h"]
    first = site.seen["five"][0]
    assert first["phase"] == "preHandler"
    assert first["context"] == {}
    assert set(first["request"]) == {"path_params", "query_params", "headers", "method", "path"}
    assert first["request"]["path"] == "/a/:id"
    assert first["request"]["query_params"] == {"q": "2"}
    assert site.seen["own"][0]["context"] == {"a": 10, "b": 1}
    assert site.seen["h"][0]["context"] == {"a": 10, "b": 1}


async def test_modules_case_43_middleware_responds(make_site: Any) -> None:
    site = await make_site(middleware=[{"function_id": "auth"}])
    response = {"status_code": 401, "headers": {"www-authenticate": "Bearer"}, "body": {"no": 1}}
    site.function("auth", {"action": "respond", "response": response})
    site.function("h", 1)
    site.route("/a", "h", "POST")
    answer = await site.client.post("/a", json={})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json() == {"no": 1}
    assert site.seen["h"] == []


@pytest.mark.parametrize("result", [{}, None, {"action": "stop"}, [], "continue"])
async def test_modules_case_44_invalid_middleware_result_fails_closed(
    site: Any, result: object
) -> None:
    site.function("h", 1)
    site.function("m", result)
    site.route("/a", "h", middleware_function_ids=["m"])
    answer = await site.client.get("/a")
    assert answer.status_code == 500
    assert answer.json()["error"] == "Invalid middleware response"
    assert answer.json()["error_id"]
    assert site.seen["h"] == []


async def test_modules_case_44_crashing_middleware_fails_closed(site: Any) -> None:
    site.function("h", 1)
    site.function("m", error=("boom", "no"))
    site.route("/a", "h", middleware_function_ids=["m"])
    answer = await site.client.get("/a")
    assert (answer.status_code, answer.json()["error"]) == (500, "no")
    assert site.seen["h"] == []


async def test_modules_case_45_slow_middleware(make_site: Any) -> None:
    site = await make_site(default_timeout=100)
    site.slow("m")
    site.function("h", 1)
    site.route("/a", "h", middleware_function_ids=["m"])
    answer = await site.client.get("/a")
    assert answer.status_code == 504
    assert answer.json() == {"error": "Middleware timeout"}


async def test_modules_case_49_cors(make_site: Any) -> None:
    preflight = {
        "origin": "http://a",
        "access-control-request-method": "PUT",
        "access-control-request-headers": "authorization,x-a",
    }
    open_site = await make_site()
    open_site.function("h", 1)
    open_site.route("/a", "h")
    answer = await open_site.client.get("/a", headers={"origin": "http://a"})
    assert answer.headers["access-control-allow-origin"] == "*"
    answer = await open_site.client.options("/nowhere", headers=preflight)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["access-control-allow-methods"] == "*"
    assert answer.headers["access-control-allow-headers"] == "authorization,x-a"
    strict = await make_site(cors={"allowed_origins": ["http://b"], "allowed_methods": ["GET"]})
    strict.function("h", 1)
    strict.route("/a", "h")
    answer = await strict.client.get("/a", headers={"origin": "http://a"})
    assert "access-control-allow-origin" not in answer.headers
    assert answer.headers["vary"] == "origin"
    answer = await strict.client.get("/a", headers={"origin": "http://b"})
    assert answer.headers["access-control-allow-origin"] == "http://b"
    assert (
        "access-control-allow-origin"
        not in (await strict.client.options("/a", headers=preflight)).headers
    )
    answer = await strict.client.options("/a", headers=preflight | {"origin": "http://b"})
    assert answer.headers["access-control-allow-methods"] == "GET"


async def test_modules_case_56_requests_above_the_limit_wait_in_order(make_site: Any) -> None:
    site = await make_site(concurrency_request_limit=1)
    calls = site.slow("h")
    site.route("/a", "h")
    tasks = [asyncio.ensure_future(site.client.get("/a")) for _ in range(2)]
    first = await asyncio.wait_for(calls.get(), 5)
    gateway = site.module.gateway
    await until(lambda: gateway.admission.waiting)
    assert calls.empty()
    first.reply(b"1")
    second = await asyncio.wait_for(calls.get(), 5)
    second.reply(b"2")
    assert sorted([(await task).json() for task in tasks]) == [1, 2]
    assert gateway.admission.active == 0


async def test_expect_continue_waits_for_the_middleware(make_site: Any) -> None:
    site = await make_site(middleware=[{"function_id": "m"}])
    calls = site.slow("m")
    site.function("h", lambda payload: payload["body"])
    site.route("/a", "h", "POST")
    reader, writer = await site.connect(
        b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        b"Content-Length: 2\r\nExpect: 100-continue\r\n\r\n"
    )
    call = await asyncio.wait_for(calls.get(), 5)
    call.reply(b'{"action":"continue"}')
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    assert head == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(b"42")
    assert (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)).startswith(b"HTTP/1.1 200")
    assert await reader.readexactly(2) == b"42"


async def test_trailing_slash_trust_proxy_health_and_openapi(make_site: Any) -> None:
    site = await make_site(ignore_trailing_slash=True, trust_proxy=True, openapi=True)
    site.function("h", 1)
    site.function("engine::health::check", {"status": "healthy"})
    site.route("/a/{id}/", "h")
    headers = {"x-forwarded-for": "10.0.0.1, 10.0.0.2", "x-forwarded-proto": "https"}
    await site.client.get("/a/1", headers=headers)
    payload = site.seen["h"][0]
    assert (payload["client_ip"], payload["remote_addr"]) == ("10.0.0.1", "127.0.0.1")
    assert payload["scheme"] == "https"
    assert (await site.client.get("/_iii/health")).json() == {"status": "healthy"}
    document = (await site.client.get("/_iii/openapi.json")).json()
    assert document["paths"]["/a/{id}/"]["get"]["parameters"][0]["name"] == "id"


async def test_health_without_a_check_is_503(site: Any) -> None:
    assert (await site.client.get("/_iii/health")).status_code == 503
    assert (await site.client.get("/_iii/openapi.json")).status_code == 404
