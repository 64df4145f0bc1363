"""Calls of functions that are endpoints, over real sockets. Numbers: wire protocol §18."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from typing import Any

import pytest
from tests.support.endpoint import Endpoint, Request, answering
from tests.support.engine import RunningEngine
from tests.support.raw_worker import CallFailed, RawWorker
from tests.support.waiting import until

from iii_engine.modules.http_functions.credentials import signature


def always(answer: bytes) -> Any:
    return lambda request: answer


async def failure(worker: RawWorker, function_id: str, data: Any = None) -> tuple[str, str]:
    with pytest.raises(CallFailed) as caught:
        await worker.call(function_id, data)
    return caught.value.code, caught.value.message


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
        assert await failure(worker, "ext::f") == (code, message)
        assert await failure(worker, "ext::f") == (code, message)
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
        assert (await failure(worker, "ext::f"))[0] == code
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
            assert await failure(worker, "ext::f") == ("http_error", "HTTP 302 Found")
    assert other.connections == 0


async def test_a_slow_endpoint_is_given_up(worker: RawWorker) -> None:
    async with Endpoint(lambda request: None) as endpoint:
        await worker.register("ext::f", invocation={"url": endpoint.url, "timeout_ms": 50})
        code, message = await failure(worker, "ext::f")
        assert (code, message) == ("http_request_failed", "no answer within 50 ms")
        await until(lambda: endpoint.open == 0, "the connection is closed")


async def test_nobody_listens(worker: RawWorker) -> None:
    async with Endpoint(always(answering())) as endpoint:
        pass
    await worker.register("ext::f", invocation={"url": endpoint.url})
    code, message = await failure(worker, "ext::f")
    assert code == "http_request_failed"
    assert f"127.0.0.1:{endpoint.port}" in message


async def test_a_void_call_is_made_too(worker: RawWorker) -> None:
    async with Endpoint(always(answering())) as endpoint:
        await worker.register("ext::f", invocation={"url": endpoint.url})
        await worker.send("invokefunction", function_id="ext::f", data=5, action={"type": "void"})
        await until(lambda: bool(endpoint.requests), "the request arrived")
    assert endpoint.requests[0].json == 5


# -- connections ---------------------------------------------------------------------------------


async def test_at_most_fifty_connections_serve_any_number_of_calls(worker: RawWorker) -> None:
    most = 0

    def answer(request: Request) -> bytes:
        nonlocal most
        most = max(most, endpoint.open)
        return answering(b"1")

    async with Endpoint(answer) as endpoint:
        await worker.register("ext::f", invocation={"url": endpoint.url})
        assert await asyncio.gather(*(worker.call("ext::f", n) for n in range(200))) == [1] * 200
        assert len(endpoint.requests) == 200
        assert endpoint.connections <= 50
        assert 1 < most <= 50


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_a_closed_connection_is_replaced_where_repeating_is_safe(
    worker: RawWorker, method: str
) -> None:
    seen = 0

    def answer(request: Request) -> bytes:
        nonlocal seen
        seen += 1
        if seen == 2:
            raise OSError("the endpoint closes without a word")
        return answering(b"1")

    async with Endpoint(answer) as endpoint:
        await worker.register("ext::f", invocation={"url": endpoint.url, "method": method})
        assert await worker.call("ext::f") == 1
        assert await worker.call("ext::f") == 1
        assert (endpoint.connections, seen) == (2, 3)


async def test_a_post_is_never_sent_twice(worker: RawWorker) -> None:
    def answer(request: Request) -> bytes:
        if len(endpoint.requests) == 2:
            raise OSError("the endpoint closes without a word")
        return answering(b"1")

    async with Endpoint(answer) as endpoint:
        await worker.register("ext::f", invocation={"url": endpoint.url})
        assert await worker.call("ext::f") == 1
        assert (await failure(worker, "ext::f"))[0] == "http_request_failed"
        assert len(endpoint.requests) == 2
        assert await worker.call("ext::f") == 1


async def test_stopping_the_engine_ends_calls_under_way() -> None:
    running = RunningEngine(
        {"iii-http-functions": {"security": {"block_private_ips": False, "require_https": False}}}
    )
    await running.start()
    async with RawWorker(running.url) as worker, Endpoint(lambda request: None) as endpoint:
        await worker.register("ext::f", invocation={"url": endpoint.url})
        answers: list[Any] = []
        running.core.call("ext::f", b"1", lambda result, error: answers.append(error))
        await until(lambda: bool(endpoint.requests), "the request arrived")
        await running.stop()
        assert [error.code for error in answers] == ["invocation_stopped"]
        await until(lambda: endpoint.open == 0, "the connection is closed")


# -- registration --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "localhost.",
        "2130706433",
        "127.1",
        "0177.0.0.1",
        "0x7f.0.0.1",
        "0x7f000001",
        "0",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::7f00:1]",
    ],
)
async def test_wire_case_82_and_modules_case_122_private_addresses_are_never_connected_to(
    strict: RunningEngine, host: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        Endpoint(always(answering(b"1"))) as endpoint,
        RawWorker(strict.url) as worker,
    ):
        url = f"http://{host}:{endpoint.port}/?token=hidden"
        await worker.send("registerfunction", id="ext::f", invocation={"url": url})
        expected = ("url_validation_failed", "Private IP blocked")
        assert await failure(worker, "ext::f") == expected
        await until(lambda: "ext::f" not in strict.core.registry, "it is not registered")
        assert await failure(worker, "ext::f") == expected
        assert endpoint.connections == 0
    (record,) = [r for r in caplog.records if r.levelno == logging.WARNING]
    assert "'ext::f'" in record.getMessage()
    assert "Private IP blocked" in record.getMessage()
    assert "hidden" not in caplog.text


async def test_modules_case_122_https_is_required(
    default: RunningEngine, caplog: pytest.LogCaptureFixture
) -> None:
    expected = ("url_validation_failed", "HTTPS is required")
    async with Endpoint(always(answering(b"1"))) as endpoint, RawWorker(default.url) as worker:
        await worker.send("registerfunction", id="ext::f", invocation={"url": endpoint.url})
        assert await failure(worker, "ext::f") == expected
        assert "ext::f" not in default.core.registry
        assert endpoint.connections == 0
    assert "HTTPS is required (url_validation_failed)" in caplog.text


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("https://user:hidden@example.com/", "Invalid URL"),
        ("https://127.0.0.1/?token=hidden", "Private IP blocked"),
        ("https://hidden@127.0.0.1/", "Invalid URL"),
    ],
)
async def test_a_refused_url_is_not_repeated(
    default: RunningEngine, url: str, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with RawWorker(default.url) as worker:
        await worker.send("registerfunction", id="ext::f", invocation={"url": url})
        assert await failure(worker, "ext::f") == ("url_validation_failed", reason)
        assert "hidden" not in caplog.text


async def test_wire_case_82_a_name_is_judged_by_all_its_addresses_at_every_call(
    strict: RunningEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = [["93.184.216.34"], ["93.184.216.34", "10.0.0.1"]]

    async def look_up(host: str, port: int, **options: Any) -> list[Any]:
        found = answers.pop(0) if len(answers) > 1 else answers[0]
        return [(2, 1, 6, "", (address, port)) for address in found]

    loop = asyncio.get_running_loop()
    dialer = strict.app.modules["iii-http-functions"]._dialer  # type: ignore[attr-defined]
    monkeypatch.setattr(dialer, "_loop", Resolving(loop, look_up))
    async with Endpoint(always(answering(b"1"))) as endpoint, RawWorker(strict.url) as worker:
        await worker.register(
            "ext::f", invocation={"url": f"http://rebinding.example:{endpoint.port}/"}
        )
        await until(lambda: len(answers) == 1, "the name was looked up at registration")
        assert "ext::f" in strict.core.registry
        assert await failure(worker, "ext::f") == ("url_validation_failed", "Private IP blocked")
        assert endpoint.connections == 0


class Resolving:
    """A loop with another resolver."""

    def __init__(self, loop: asyncio.AbstractEventLoop, look_up: Any) -> None:
        self._loop = loop
        self.getaddrinfo = look_up

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)


async def test_the_checked_address_is_the_one_connected_to(
    relaxed: RunningEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_up: list[str] = []

    async def look_up(host: str, port: int, **options: Any) -> list[Any]:
        looked_up.append(host)
        return [(2, 1, 6, "", ("127.0.0.1", port))]

    module = relaxed.app.modules["iii-http-functions"]
    module.options.security.url_allowlist.append("*.example")
    dialer = module._dialer  # type: ignore[attr-defined]
    monkeypatch.setattr(dialer, "_loop", Resolving(asyncio.get_running_loop(), look_up))
    async with Endpoint(always(answering(b"1"))) as endpoint, RawWorker(relaxed.url) as worker:
        url = f"http://a.example:{endpoint.port}/"
        await worker.register("ext::f", invocation={"url": url})
        assert await worker.call("ext::f") == 1
        assert await worker.call("ext::f") == 1
        assert endpoint.requests[0].headers["host"] == f"a.example:{endpoint.port}"
    assert looked_up == ["a.example"] * 2  # once at registration, once for the connection


async def test_a_name_that_does_not_resolve(relaxed: RunningEngine) -> None:
    relaxed.app.modules["iii-http-functions"].options.security.url_allowlist.append("*.invalid")
    async with RawWorker(relaxed.url) as worker:
        await worker.register("ext::f", invocation={"url": "http://nowhere.invalid/"})
        assert await failure(worker, "ext::f") == ("url_validation_failed", "DNS lookup failed")


@pytest.mark.parametrize(
    ("invocation", "code", "message"),
    [
        ({"url": "no url"}, "url_validation_failed", "Invalid URL"),
        ({"url": "http://elsewhere/"}, "url_validation_failed", "URL not in allowlist"),
        (
            {"url": "http://localhost/", "auth": {"type": "bearer", "token_key": "TEST_UNSET"}},
            "token_not_found",
            "environment variable TEST_UNSET of the engine is not set",
        ),
        (
            {"url": "http://localhost/", "headers": {"a b": "c"}},
            "invalid_message",
            "invocation.headers['a b']: not a header name",
        ),
    ],
)
async def test_a_call_learns_why_a_registration_was_refused(
    worker: RawWorker, invocation: Any, code: str, message: str
) -> None:
    await worker.register("ext::f", invocation=invocation)
    assert await failure(worker, "ext::f") == (code, message)
    listed = await worker.call("engine::functions::list")
    assert "ext::f" not in {f["function_id"] for f in listed["functions"]}
    await worker.send("unregisterfunction", id="ext::f")
    assert (await failure(worker, "ext::f"))[0] == "function_not_found"


async def test_a_token_that_vanished_stops_the_call(
    worker: RawWorker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("TEST_TOKEN", "t-0p-s3cret")
    auth = {"type": "bearer", "token_key": "TEST_TOKEN"}
    async with Endpoint(always(answering(b"1"))) as endpoint:
        await worker.register("ext::f", invocation={"url": endpoint.url, "auth": auth})
        assert await worker.call("ext::f") == 1
        assert endpoint.requests[0].headers["authorization"] == "Bearer t-0p-s3cret"
        monkeypatch.delenv("TEST_TOKEN")
        assert (await failure(worker, "ext::f"))[0] == "token_not_found"
        assert len(endpoint.requests) == 1
    assert "s3cret" not in caplog.text


async def test_only_one_module_makes_such_calls() -> None:
    running = RunningEngine({"iii-http-functions": {}, "iii-http-functions#1": {}})
    with pytest.raises(Exception, match="have a module already"):
        await running.start()
