"""Requests, payloads, results and errors over a real socket."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest


async def test_modules_case_28_payload_of_a_json_request(site: Any) -> None:
    site.function("h")
    site.route("/users/:id", "h", "POST")
    await site.client.post("/users/42?a=1&a=2&b=x+y%21", json={"x": 1})
    payload = site.seen["h"][0]
    assert payload["path"] == "/users/:id"
    assert payload["raw_path"] == "/users/42"
    assert payload["method"] == "POST"
    assert payload["path_params"] == {"id": "42"}
    assert payload["query_params"] == {"a": "2", "b": "x y!"}
    assert payload["query_params_multi"] == {"a": ["1", "2"], "b": ["x y!"]}
    assert payload["query_string"] == "a=1&a=2&b=x+y%21"
    assert payload["body"] == {"x": 1}
    assert payload["trigger"] == {"type": "http", "path": "/users/:id", "method": "POST"}
    assert payload["context"] == {}
    assert payload["headers"]["content-type"] == "application/json"
    assert payload["client_ip"] == payload["remote_addr"] == "127.0.0.1"
    for name, direction in (("request_body", "read"), ("response", "write")):
        ref = payload[name]
        assert ref["direction"] == direction
        assert len(ref["channel_id"]) == len(ref["access_key"]) == 36
    assert payload["request_body"]["access_key"] != payload["response"]["access_key"]


async def test_modules_case_29_status_headers_and_body(site: Any) -> None:
    site.function("h", {"status_code": 201, "headers": {"X-A": "b"}, "body": {"ok": True}})
    site.route("/a", "h")
    answer = await site.client.get("/a")
    assert answer.status_code == 201
    assert answer.headers["x-a"] == "b"
    assert answer.headers["content-type"] == "application/json"
    assert answer.text == '{"ok":true}'


async def test_modules_case_30_a_list_of_headers_may_repeat_a_name(site: Any) -> None:
    site.function("h", {"headers": ["Set-Cookie: a=1", "Set-Cookie: b=2"]})
    site.route("/a", "h")
    answer = await site.client.get("/a")
    assert answer.headers.get_list("set-cookie") == ["a=1", "b=2"]


@pytest.mark.parametrize(
    ("content_type", "body", "text"),
    [
        pytest.param("text/html", "<p>", "<p>", id="case_31"),
        pytest.param("text/csv", {"a": 1}, '{"a":1}', id="case_32"),
        pytest.param("text/plain", None, "", id="null"),
        pytest.param("text/plain", 'ä\n"', 'ä\n"', id="escapes"),
    ],
)
async def test_modules_cases_31_and_32_body_with_a_content_type(
    site: Any, content_type: str, body: object, text: str
) -> None:
    site.function("h", {"headers": {"content-type": content_type}, "body": body})
    site.route("/a", "h")
    answer = await site.client.get("/a")
    assert (answer.headers["content-type"], answer.content.decode()) == (content_type, text)


@pytest.mark.parametrize(
    ("result", "status", "text"),
    [
        ({"id": 7}, 200, '{"id":7}'),
        ([1, 2], 200, "[1,2]"),
        ("x", 200, '"x"'),
        (None, 204, ""),
        pytest.param({"status_code": 200}, 200, "{}", id="case_34"),
        ({"body": None}, 200, "null"),
        ({"statusCode": 202, "body": 1}, 202, "1"),
        ({"body_base64": "aGk="}, 200, "hi"),
    ],
)
async def test_modules_cases_33_and_34_bare_results(
    site: Any, result: object, status: int, text: str
) -> None:
    site.function("h", result)
    site.route("/a", "h")
    answer = await site.client.get("/a")
    assert (answer.status_code, answer.text) == (status, text)


async def test_modules_case_35_handler_fails_with_a_code(site: Any) -> None:
    site.function("h", error=("boom", "no luck"))
    site.route("/a", "h")
    answer = await site.client.get("/a")
    assert answer.status_code == 500
    assert answer.json()["error"] == "no luck"
    assert len(answer.json()["error_id"]) == 16


async def test_a_crash_does_not_leak_its_message(site: Any) -> None:
    site.function("h", error=("invocation_failed", "secret path"))
    site.route("/a", "h")
    assert (await site.client.get("/a")).json()["error"] == "internal server error"


async def test_modules_case_36_no_such_function(site: Any) -> None:
    site.route("/a", "nobody")
    answer = await site.client.get("/a")
    assert answer.status_code == 500
    assert answer.json()["error"] == "Function nobody not found"


async def test_modules_case_37_unknown_path_and_unknown_method(site: Any) -> None:
    site.function("h")
    site.route("/users/:id", "h", "POST")
    missing = await site.client.get("/nothing?q=1")
    assert missing.status_code == 404
    assert missing.json() == {"error": "Not Found", "path": "/nothing"}
    refused = await site.client.put("/users/42")
    assert refused.status_code == 405
    assert refused.headers["allow"] == "POST"
    assert refused.json() == {"error": "Method Not Allowed"}


async def test_modules_case_38_head_falls_back_to_get(site: Any) -> None:
    site.function("h", {"body": {"a": 1}})
    site.route("/a", "h")
    answer = await site.client.head("/a")
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-length"] == "7"
    assert site.seen["h"][0]["method"] == "HEAD"


async def test_modules_case_39_malformed_empty_and_large_json(site: Any) -> None:
    site.function("h")
    site.route("/a", "h", "POST")
    headers = {"content-type": "application/json"}
    for text in (b"{", b'{"a":NaN}', b'"\xff"', b"[" * 100_000):
        malformed = await site.client.post("/a", content=text, headers=headers)
        assert malformed.status_code == 400
        assert malformed.json()["error"] == "Invalid JSON body"
        assert malformed.json()["error_id"]
    assert site.seen["h"] == []
    assert (await site.client.post("/a", content=b"", headers=headers)).status_code == 204
    assert site.seen["h"][0]["body"] is None
    large = b'"' + b"x" * (11 * 1024 * 1024) + b'"'
    refused = await site.client.post("/a", content=large, headers=headers)
    assert refused.status_code == 413
    assert refused.json() == {"error": "Payload Too Large"}


async def test_lone_surrogates_are_json(site: Any) -> None:
    site.function("h", 1)
    site.route("/a", "h", "POST")
    site.route("/flat", "h", "POST", input="flat")
    headers = {"content-type": "application/json"}
    calls = site.slow("raw")
    site.route("/raw", "raw", "POST")
    body = b' {"a":"\\ud800"} '
    task = asyncio.ensure_future(site.client.post("/raw", content=body, headers=headers))
    call = await asyncio.wait_for(calls.get(), 5)
    assert b'"body":{"a":"\\ud800"},' in bytes(call.data) + b","
    call.reply(b'{"body":"\\ud800","status_code":201}')
    answer = await task
    assert (answer.status_code, answer.content) == (201, b'"\\ud800"')
    assert (await site.client.post("/flat", content=body, headers=headers)).status_code == 400
    for wrong in (b'{"a":"\\u12"}', b'{"a":%b}' % (b"1" * 4301), b"1" * 4301):
        assert (await site.client.post("/a", content=wrong, headers=headers)).status_code == 400


async def test_chunked_json_over_the_limit_is_refused(make_site: Any) -> None:
    site = await make_site(body_limit=10)
    site.function("h")
    site.route("/a", "h", "POST")
    answer = await site.raw(
        b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n14\r\n[1,2,3,4,5,6,7,8,9,1\r\n"
    )
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close" in answer


async def test_modules_case_46_slow_handler(make_site: Any) -> None:
    site = await make_site(default_timeout=200)
    site.slow("h")
    site.route("/a", "h")
    answer = await site.client.get("/a")
    assert answer.status_code == 504
    assert answer.json() == {"error": "Gateway Timeout"}


async def test_modules_case_50_parameters_of_different_names(site: Any) -> None:
    site.function("g")
    site.function("p")
    site.route("/a/:x", "g", "GET")
    site.route("/a/{y}", "p", "POST")
    await site.client.get("/a/1")
    await site.client.post("/a/2")
    assert site.seen["g"][0]["path_params"] == {"x": "1"}
    assert site.seen["p"][0]["path_params"] == {"y": "2"}


async def test_modules_case_51_newest_route_wins_until_it_goes(site: Any) -> None:
    site.function("one", 1)
    site.function("two", 2)
    site.route("/a", "one")
    newer = site.route("/a", "two")
    assert (await site.client.get("/a")).json() == 2
    site.engine.triggers.remove(newer)
    assert (await site.client.get("/a")).json() == 1


async def test_modules_case_52_path_without_a_slash(site: Any) -> None:
    site.function("h", 1)
    site.route("users", "h")
    assert (await site.client.get("/users")).json() == 1
    assert site.seen["h"][0]["path"] == "users"


async def test_modules_case_53_raw_body(site: Any) -> None:
    site.function("h")
    site.route("/a", "h", "POST", raw_body=True)
    text = '{ "a" :  1.0,"b":"\\u00e9é" }'
    await site.client.post(
        "/a", content=text.encode(), headers={"content-type": "application/json"}
    )
    await site.client.post("/a", content=b"\xff\x00", headers={"content-type": "x/y"})
    assert site.seen["h"][0]["raw_body"] == text
    assert site.seen["h"][1]["raw_body_base64"] == "/wA="


async def test_modules_case_54_flat_input(site: Any) -> None:
    site.function("h", {"done": True})
    site.function("bad", error=("realm_not_found", "no realm"))
    site.route("/r/:id", "h", "POST", input="flat")
    site.route("/bad", "bad", "POST", input="flat")
    answer = await site.client.post("/r/9?b=2", json={"a": 1})
    assert answer.json() == {"done": True}
    payload = site.seen["h"][0]
    http = payload.pop("_http")
    assert payload == {"a": 1, "b": "2", "id": "9"}
    assert (http["method"], http["path"]) == ("POST", "/r/9")
    assert http["headers"]["content-type"] == "application/json"
    missing = await site.client.post("/bad", json=[1])
    assert missing.status_code == 404
    assert missing.json()["error"] == "no realm"
    assert site.seen["bad"][0]["body"] == [1]


@pytest.mark.parametrize("name", ["_caller_worker_id", "_caller\\u005fworker_id"])
async def test_no_request_of_a_flat_route_is_from_a_worker(site: Any, name: str) -> None:
    site.function("h")
    site.route("/r", "h", "POST", input="flat")
    site.route("/r/:_caller_worker_id", "h", "POST", input="flat")
    headers = {"content-type": "application/json"}
    for path in ("/r", "/r?_caller_worker_id=forged", "/r/forged"):
        await site.client.post(path, content=f'{{"{name}":"forged","a":1}}', headers=headers)
    for payload in site.seen["h"]:
        assert set(payload) == {"a", "_http"}


async def test_modules_case_55_encoded_path_parameters(site: Any) -> None:
    site.function("h")
    site.route("/a/:x/b", "h")
    await site.client.get("/a/1%2F2%203/b")
    assert site.seen["h"][0]["path_params"] == {"x": "1/2 3"}
    assert site.seen["h"][0]["raw_path"] == "/a/1%2F2%203/b"


@pytest.mark.parametrize(
    ("path", "config", "reason"),
    [
        (None, {}, "api_path is required for http triggers"),
        ("/a", {"http_method": "TRACE"}, "$.http_method"),
        ("/*a/b", {}, "wildcard"),
    ],
)
async def test_a_wrong_trigger_is_refused(
    site: Any, path: str | None, config: dict[str, str], reason: str
) -> None:
    with pytest.raises(AssertionError, match=reason.replace("$", r"\$")):
        site.route(path, "h", **({"method": config["http_method"]} if config else {}))


async def test_a_wrong_status_is_an_error(site: Any) -> None:
    site.function("h", {"status_code": 700})
    site.route("/a", "h")
    answer = await site.client.get("/a")
    assert answer.status_code == 500
    assert answer.json()["error"] == "invalid_status"


async def test_request_id_is_kept_or_made(site: Any) -> None:
    site.function("h")
    site.route("/a", "h")
    made = await site.client.get("/a")
    assert site.seen["h"][0]["headers"]["x-request-id"] == made.headers["x-request-id"]
    kept = await site.client.get("/a", headers={"x-request-id": "r-1"})
    assert kept.headers["x-request-id"] == "r-1"
    assert site.seen["h"][1]["headers"]["x-request-id"] == "r-1"


async def test_repeated_headers_are_joined(site: Any) -> None:
    site.function("h", 1)
    site.route("/a", "h")
    await site.raw(
        b"GET /a HTTP/1.1\r\nHost: x\r\nX-A: 1\r\nX-A: 2\r\nCookie: a=1\r\nCookie: b=2\r\n"
        b"X-B: caf\xe9\r\nConnection: close\r\n\r\n"
    )
    headers = site.seen["h"][0]["headers"]
    assert (headers["x-a"], headers["cookie"], headers["x-b"]) == ("1, 2", "a=1; b=2", "café")


async def test_inbound_trace_context_is_the_parent(site: Any) -> None:
    calls = site.slow("h")
    site.route("/a", "h")
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    request = site.client.get("/a", headers={"traceparent": parent, "baggage": "k=v"})
    task = asyncio.ensure_future(request)
    call = await asyncio.wait_for(calls.get(), 5)
    assert call.traceparent.split("-")[1] == "0af7651916cd43dd8448eb211c80319c"
    assert call.baggage == "k=v"
    call.reply(msgspec.json.encode(1))
    await task


async def test_alias_api_and_not_found_function(make_site: Any) -> None:
    site = await make_site(not_found_function="lost")
    site.function("lost", lambda payload: {"status_code": 404, "body": payload["path"]})
    answer = await site.client.get("/some/where")
    assert (answer.status_code, answer.json()) == (404, "/some/where")
    answer = await site.client.get("/a/:x/:x/*y/z")
    assert (answer.status_code, answer.json()) == (404, "/a/:x/:x/*y/z")
