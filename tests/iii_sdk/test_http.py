from __future__ import annotations

import base64
from datetime import datetime
from enum import Enum
from typing import Any, Literal

import msgspec
import pytest
from tests.support.envelopes import KEY, request

from iii_sdk import (
    BusError,
    Call,
    Conflict,
    NotFound,
    RateLimited,
    Response,
    Worker,
    http,
)
from iii_sdk.envelope import KEY_VARIABLE


class Colour(Enum):
    RED = "red"


class Search(msgspec.Struct, rename="camel"):
    item_id: str
    page_size: int = 10
    exact: bool = False
    ratio: float | None = None
    tags: list[str] = []
    since: datetime | None = None
    colour: Colour = Colour.RED
    mode: Literal["a", "b"] = "a"


class Fetch(msgspec.Struct):
    url: str
    headers: dict[str, str] = {}


@pytest.fixture(autouse=True)
def _key(monkeypatch):
    monkeypatch.setenv(KEY_VARIABLE, "right")


def items_worker() -> Worker:
    worker = Worker("items", headers={"x-frame-options": "DENY"})

    @worker.function(
        "items::search", http("GET", "/items/:itemId"), http("POST", "items/:itemId", status=201)
    )
    async def search(request: Search) -> dict[str, Any]:
        return {"item": request}

    @worker.function("items::fail", http("POST", "/fail"))
    async def fail(request: dict[str, Any]) -> None:
        errors: dict[str, Exception] = {
            "conflict": Conflict("taken"),
            "missing": NotFound("no such thing"),
            "limited": RateLimited("slow down", retry_after=7),
            "crash": RuntimeError("secret path /etc/x"),
            "remote": BusError("secret traceback", code="invocation_failed"),
            "nobody": BusError("Function a::b not found", code="function_not_found"),
        }
        raise errors[request["how"]]

    return worker


async def test_query_body_and_path_are_merged_and_coerced(engine, serve):
    await serve(items_worker())
    answer = await engine.call(
        "items::search",
        request(
            params={"itemId": "7"},
            query={
                "pageSize": "5",
                "exact": "true",
                "ratio": "0.5",
                "tags": '["x"]',
                "since": "2026-01-02T03:04:05Z",
                "mode": "b",
                "itemId": "from-query",
                "unknown": "ignored",
            },
        ),
    )
    assert answer["status_code"] == 200
    assert answer["headers"] == {"x-frame-options": "DENY"}
    assert answer["body"]["item"] == {
        "itemId": "7",
        "pageSize": 5,
        "exact": True,
        "ratio": 0.5,
        "tags": ["x"],
        "since": "2026-01-02T03:04:05Z",
        "colour": "red",
        "mode": "b",
    }


async def test_the_body_wins_over_the_query_and_the_path_over_both(engine, serve):
    await serve(items_worker())
    answer = await engine.call(
        "items::search",
        request(
            method="POST",
            params={"itemId": "path"},
            query={"pageSize": "5"},
            body={"pageSize": 6, "itemId": "body"},
        ),
    )
    assert answer["status_code"] == 201
    assert answer["body"]["item"]["pageSize"] == 6
    assert answer["body"]["item"]["itemId"] == "path"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"query": {"pageSize": "many"}}, "$.pageSize: expected int, got str"),
        ({"query": {"exact": "maybe"}}, "$.exact: expected bool, got str"),
        ({"query": {"tags": "x"}}, "$.tags: expected array, got str"),
        ({"query": {"colour": "blue"}}, "$.colour: invalid enum value 'blue'"),
        ({"body": {"pageSize": "5"}}, "$.pageSize: expected int, got str"),
        ({"body": [1]}, "$: expected an object as the request body"),
        ({"params": {}, "body": {}}, "$.itemId: missing"),
        ({"params": {}, "body": [1]}, "$: expected object, got array"),
    ],
)
async def test_bad_input_is_400_and_names_the_field(engine, serve, changes, message):
    await serve(items_worker())
    answer = await engine.call(
        "items::search", request(method="POST", **{"params": {"itemId": "1"}, **changes})
    )
    assert answer["status_code"] == 400
    assert answer["body"] == {"error": message, "code": "invalid_input"}
    assert answer["headers"] == {"x-frame-options": "DENY"}


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer wrong"},
        {"authorization": "Basic right"},
        {"authorization": ""},
    ],
)
async def test_without_the_key_it_is_401(engine, serve, headers):
    await serve(items_worker())
    answer = await engine.call("items::search", request(headers=headers, params={"itemId": "1"}))
    assert answer["status_code"] == 401
    assert answer["body"] == {"error": "Unauthorized"}
    assert answer["headers"] == {"x-frame-options": "DENY"}


async def test_without_a_configured_key_it_is_500(engine, serve, monkeypatch):
    monkeypatch.delenv(KEY_VARIABLE)
    await serve(items_worker())
    answer = await engine.call("items::search", request())
    assert answer["status_code"] == 500
    assert answer["body"] == {"error": "AGENTOS_API_KEY not configured"}


async def test_public_and_optional_routes(engine, serve):
    worker = Worker("doors")

    @worker.function(
        "doors::in",
        http("GET", "/public", public=True),
        http("GET", "/optional", auth="optional"),
    )
    async def come_in(call: Call) -> dict[str, Any]:
        assert call.http is not None
        return {"known": call.http.authenticated, "path": call.http.path}

    await serve(worker)
    for path in ("/public", "/optional"):
        answer = await engine.call("doors::in", request(path, headers={}))
        assert answer["body"] == {"known": False, "path": path}
    answer = await engine.call("doors::in", request("/optional"))
    assert answer["body"]["known"] is True
    # A route that somebody else bound to this function is not open by accident.
    answer = await engine.call("doors::in", request("/elsewhere", headers={}))
    assert answer["status_code"] == 401


@pytest.mark.parametrize(
    ("how", "status", "body"),
    [
        ("conflict", 409, {"error": "taken", "code": "conflict"}),
        ("missing", 404, {"error": "no such thing", "code": "not_found"}),
        ("limited", 429, {"error": "slow down", "code": "rate_limited"}),
        ("crash", 500, {"error": "internal server error", "code": "internal"}),
        ("remote", 500, {"error": "internal server error", "code": "internal"}),
        ("nobody", 503, {"error": "Function a::b not found", "code": "function_not_found"}),
    ],
)
async def test_errors_become_statuses(engine, serve, caplog, how, status, body):
    await serve(items_worker())
    answer = await engine.call("items::fail", request("/fail", "POST", body={"how": how}))
    assert (answer["status_code"], answer["body"]) == (status, body)
    assert (answer["headers"].get("retry-after") == "7") is (how == "limited")
    assert ("Traceback" in caplog.text) is (how in ("crash", "remote"))


async def test_a_route_may_have_its_own_error_form(engine, serve):
    worker = Worker("openai")

    def form(error: BusError) -> object:
        return {"error": {"message": error.message, "type": error.code}}

    @worker.function("o::f", http("POST", "/v1/f", error_body=form))
    async def f(request: Search) -> None:
        raise RuntimeError("secret")

    await serve(worker)
    answer = await engine.call("o::f", request("/v1/f", "POST", headers={}))
    assert answer["body"] == {"error": {"message": "Unauthorized", "type": "unauthorized"}}
    answer = await engine.call("o::f", request("/v1/f", "POST", body={"itemId": "1"}))
    assert answer["body"] == {"error": {"message": "internal server error", "type": "internal"}}
    answer = await engine.call("o::f", request("/v1/f", "POST", body={}))
    assert answer["body"]["error"]["message"] == "$.itemId: missing"


async def test_the_same_function_on_the_bus_sees_no_envelope(bus, serve):
    await serve(items_worker())
    assert (await bus.call("items::search", {"itemId": "9"}))["item"]["itemId"] == "9"
    with pytest.raises(Conflict):
        await bus.call("items::fail", {"how": "conflict"})


async def test_in_process_callers_may_send_headers_and_body_only(engine, serve):
    await serve(items_worker())
    answer = await engine.call("items::search", {"headers": KEY, "body": {"itemId": "3"}})
    assert answer["body"]["item"]["itemId"] == "3"
    answer = await engine.call("items::search", {"headers": {}, "body": {"itemId": "3"}})
    assert answer["status_code"] == 401


async def test_a_payload_with_a_headers_field_is_no_request(bus, serve):
    worker = Worker("fetcher")

    @worker.function("web::fetch", http("POST", "/fetch"))
    async def fetch(request: Fetch) -> str:
        return request.headers["a"]

    await serve(worker)
    assert await bus.call("web::fetch", {"url": "u", "headers": {"a": "b"}}) == "b"


async def test_response_gives_full_control(engine, bus, serve):
    worker = Worker("raw", headers={"x-worker": "raw"})

    @worker.function("r::text", http("GET", "/text", public=True))
    async def text() -> Response:
        return Response("hi", 202, {"content-type": "text/plain"})

    @worker.function("r::bytes", http("GET", "/bytes", public=True))
    async def some_bytes() -> Response:
        return Response(b"\0\1")

    await serve(worker)
    assert await engine.call("r::text", request("/text")) == {
        "status_code": 202,
        "headers": {"x-worker": "raw", "content-type": "text/plain"},
        "body": "hi",
    }
    assert await engine.call("r::bytes", request("/bytes")) == {
        "status_code": 200,
        "headers": {"x-worker": "raw", "content-type": "application/octet-stream"},
        "body_base64": "AAE=",
    }
    assert await bus.call("r::text") == "hi"


async def test_raw_bodies_reach_the_handler(engine, serve):
    worker = Worker("hooks")

    @worker.function("h::in", http("POST", "/hook", public=True, raw_body=True))
    async def hook(call: Call) -> str | None:
        assert call.http is not None
        return None if call.http.raw_body is None else call.http.raw_body.decode()

    await serve(worker)
    answer = await engine.call("h::in", request("/hook", "POST", raw_body='{"a": 1}'))
    assert answer["body"] == '{"a": 1}'
    form = base64.b64encode(b"a=1").decode()
    answer = await engine.call("h::in", request("/hook", "POST", raw_body_base64=form))
    assert answer["body"] == "a=1"
