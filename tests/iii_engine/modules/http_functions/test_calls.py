"""Calls of functions that are endpoints, over real sockets. Numbers: wire protocol §18."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from tests.support.endpoint import Endpoint, Request, always, answering
from tests.support.raw_worker import RawWorker
from tests.support.waiting import until

from iii_engine.modules.http_functions.credentials import signature


async def test_wire_case_81_and_modules_case_123_a_call_becomes_a_signed_request(
    worker: RawWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_SIGNING_KEY", "k-1")
    async with Endpoint(always(answering(b'{"ok": true}\n'))) as endpoint:
        auth = {"type": "hmac", "secret_key": "TEST_SIGNING_KEY"}
        await worker.register("ext::f", invocation={"url": endpoint.url + "/in?x=1", "auth": auth})
        data = {"n": 1, "_caller_worker_id": "made up"}
        assert await worker.call("ext::f", data, baggage="k=v") == {"ok": True}
    (request,) = endpoint.requests
    assert (request.method, request.resource) == ("POST", "/in?x=1")
    assert request.json == {"n": 1}
    headers = request.headers
    assert headers["content-type"] == "application/json"
    assert headers["x-iii-function-path"] == "ext::f"
    assert headers["host"] == f"127.0.0.1:{endpoint.port}"
    assert headers["baggage"] == "k=v"
    assert headers["x-iii-trace-id"] in headers["traceparent"]
    stamp = int(headers["x-iii-timestamp"])
    assert abs(stamp - time.time()) < 30
    assert headers["x-iii-signature"] == f"sha256={signature('k-1', stamp, request.body)}"


async def test_wire_case_81_the_invocation_id_is_the_callers(worker: RawWorker) -> None:
    call = "1f0c9a52-6a0b-4a3e-9c0e-0d7a3b1b2f11"
    async with Endpoint(always(answering())) as endpoint:
        await worker.register("ext::f", invocation={"url": endpoint.url})
        await worker.send("invokefunction", function_id="ext::f", invocation_id=call)
        answer = await worker.receive("invocationresult")
    assert answer["invocation_id"] == call
    assert endpoint.requests[0].headers["x-iii-invocation-id"] == call
    assert endpoint.requests[0].body == b"null"


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        (b"HTTP/1.1 204 No Content\r\n\r\n", None),
        (answering(b""), None),
        (answering(b" \n"), None),
        (answering(b"null"), None),
        (answering(b"[1, 2]", "201 Created"), [1, 2]),
        (answering(b'"text"', "200"), "text"),
        (answering(str(10**30).encode()), 10**30),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"2\r\n[1\r\n3\r\n,2]\r\n0\r\n\r\n",
            [1, 2],
        ),
        (b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + answering(b"7"), 7),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 2 + answering(b"7"), 7),
    ],
    ids=range(10),
)
async def test_wire_case_81_results(worker: RawWorker, answer: bytes, result: Any) -> None:
    async with Endpoint(always(answer)) as endpoint:
        await worker.register("ext::f", invocation={"url": endpoint.url})
        assert await worker.call("ext::f") == result
        assert await worker.call("ext::f") == result
        assert endpoint.connections == 1


@pytest.mark.parametrize(
    ("answer", "code", "message"),
    [
        (
            answering(b'{"error":{"code":"mine","message":"no"}}', "500 Internal Server Error"),
            "mine",
            "no",
        ),
        (answering(b'{"error":{}}', "400 Bad Request"), "http_error", "HTTP request failed"),
        (
            answering(b"down", "503 Service Unavailable"),
            "http_error",
            "HTTP 503 Service Unavailable",
        ),
        (answering(b'{"error":"x"}', "404 Gone Fishing"), "http_error", "HTTP 404 Gone Fishing"),
        (answering(b"", "502"), "http_error", "HTTP 502 Bad Gateway"),
        (answering(b"", "799"), "http_error", "HTTP 799"),
        (answering(b"hello"), "invalid_response", "the response body is not JSON"),
        (answering(b"NaN"), "invalid_response", "the response body is not JSON"),
        (answering(b'{"a":1'), "invalid_response", "the response body is not JSON"),
        (answering(b'"\xff"'), "invalid_response", "the response body is not JSON"),
        (
            answering(b"[" * 100_000),
            "invalid_response",
            "the response body cannot be carried: nested too deeply",
        ),
        (
            answering(b'{"n":%b}' % (b"1" * 4301)),
            "invalid_response",
            "the response body cannot be carried: an integer has more than 4300 digits",
        ),
    ],
    ids=range(12),
)
async def test_wire_case_81_failures(
    worker: RawWorker, answer: bytes, code: str, message: str
) -> None:
    async with Endpoint(always(answer)) as endpoint:
        await worker.register("ext::f", invocation={"url": endpoint.url})
        assert await worker.failure("ext::f") == (code, message)
        assert await worker.failure("ext::f") == (code, message)
        assert endpoint.connections == 1


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (b"", "http_request_failed"),
        (b"hello\r\n\r\n", "http_request_failed"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000, "http_request_failed"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 3000, "http_request_failed"),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", "http_request_failed"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n[1]", "http_response_failed"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n[1]", "http_response_failed"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nz\r\n", "http_response_failed"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
            "http_request_failed",
        ),
        (answering(b" " * (16 * 1024 * 1024 + 1)), "http_response_failed"),
    ],
    ids=range(10),
)
async def test_broken_responses(worker: RawWorker, answer: bytes, code: str) -> None:
    async with Endpoint(always(answer), close_after=1) as endpoint:
        await worker.register("ext::f", invocation={"url": endpoint.url})
        assert (await worker.failure("ext::f"))[0] == code
        await until(lambda: endpoint.open == 0, "nothing is left open")


async def test_a_body_may_end_with_the_connection(worker: RawWorker) -> None:
    async with Endpoint(always(b"HTTP/1.1 200 OK\r\n\r\n[1]"), close_after=1) as endpoint:
        await worker.register("ext::f", invocation={"url": endpoint.url})
        assert await worker.call("ext::f") == [1]
        assert await worker.call("ext::f") == [1]
        assert endpoint.connections == 2


async def test_bytes_after_a_response_never_answer_the_next_call(worker: RawWorker) -> None:
    def answer(request: Request) -> bytes:
        return answering(json.dumps(request.json).encode()) + answering(b'"smuggled"')

    async with Endpoint(answer) as endpoint:
        await worker.register("ext::f", invocation={"url": endpoint.url})
        for n in range(3):
            assert await worker.call("ext::f", n) == n
        assert endpoint.connections == 3


async def test_redirects_are_not_followed(worker: RawWorker) -> None:
    async with Endpoint(always(answering(b"[1]"))) as other:
        redirect = answering(b"", "302 Found", f"Location: {other.url}/")
        async with Endpoint(always(redirect)) as endpoint:
            await worker.register("ext::f", invocation={"url": endpoint.url})
            assert await worker.failure("ext::f") == ("http_error", "HTTP 302 Found")
    assert other.connections == 0


async def test_a_slow_endpoint_is_given_up(worker: RawWorker) -> None:
    async with Endpoint(lambda request: None) as endpoint:
        await worker.register("ext::f", invocation={"url": endpoint.url, "timeout_ms": 50})
        code, message = await worker.failure("ext::f")
        assert (code, message) == ("http_request_failed", "no answer within 50 ms")
        await until(lambda: endpoint.open == 0, "the connection is closed")


async def test_nobody_listens(worker: RawWorker) -> None:
    async with Endpoint(always(answering())) as endpoint:
        pass
    await worker.register("ext::f", invocation={"url": endpoint.url})
    code, message = await worker.failure("ext::f")
    assert code == "http_request_failed"
    assert f"127.0.0.1:{endpoint.port}" in message


async def test_a_void_call_is_made_too(worker: RawWorker) -> None:
    async with Endpoint(always(answering())) as endpoint:
        await worker.register("ext::f", invocation={"url": endpoint.url})
        await worker.send("invokefunction", function_id="ext::f", data=5, action={"type": "void"})
        await until(lambda: bool(endpoint.requests), "the request arrived")
    assert endpoint.requests[0].json == 5
