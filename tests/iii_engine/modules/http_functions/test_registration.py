"""Which endpoints may be registered, and called. Numbers: wire protocol §18."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from tests.support.endpoint import Endpoint, always, answering
from tests.support.engine import RunningEngine
from tests.support.raw_worker import RawWorker
from tests.support.waiting import until


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
        assert await worker.failure("ext::f") == expected
        await until(lambda: "ext::f" not in strict.core.registry, "it is not registered")
        assert await worker.failure("ext::f") == expected
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
        assert await worker.failure("ext::f") == expected
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
        assert await worker.failure("ext::f") == ("url_validation_failed", reason)
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
        assert await worker.failure("ext::f") == ("url_validation_failed", "Private IP blocked")
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
        assert await worker.failure("ext::f") == ("url_validation_failed", "DNS lookup failed")


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
    assert await worker.failure("ext::f") == (code, message)
    listed = await worker.call("engine::functions::list")
    assert "ext::f" not in {f["function_id"] for f in listed["functions"]}
    await worker.send("unregisterfunction", id="ext::f")
    assert (await worker.failure("ext::f"))[0] == "function_not_found"


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
        assert (await worker.failure("ext::f"))[0] == "token_not_found"
        assert len(endpoint.requests) == 1
    assert "s3cret" not in caplog.text


async def test_only_one_module_makes_such_calls() -> None:
    running = RunningEngine({"iii-http-functions": {}, "iii-http-functions#1": {}})
    with pytest.raises(Exception, match="have a module already"):
        await running.start()
