"""The bytes of a request. What only the wire shows is in test_calls.py."""

from __future__ import annotations

import pytest
from msgspec import Raw

from iii_engine.core.clock import SeededIds, SystemClock
from iii_engine.core.engine import Engine
from iii_engine.core.router import Call
from iii_engine.modules.http_functions.credentials import Credentials, signature
from iii_engine.modules.http_functions.request import RemoteFunction
from iii_engine.net.client.security import Security
from iii_engine.net.client.target import read_target
from iii_sdk.errors import BusError
from iii_sdk.protocol import HttpAuth, HttpInvocation

ENVIRONMENT = {"KEY": "s3cret", "EMPTY": "", "LINES": "a\r\nX-Evil: 1"}


def function(id: str = "a::b", **fields: object) -> RemoteFunction:
    invocation = HttpInvocation("https://example.com/x", **fields)  # type: ignore[arg-type]
    target = read_target(invocation.url, Security())
    return RemoteFunction(id, invocation, target, Credentials(invocation.auth, ENVIRONMENT))


def sent(made: RemoteFunction, data: bytes = b"{}", **fields: object) -> tuple[str, dict, bytes]:  # type: ignore[type-arg]
    call = Call(Engine(SystemClock(), SeededIds(1)).router, made.id, Raw(data))
    call.id = "the-id"
    call.traceparent = f"00-{'ab' * 16}-{'cd' * 8}-01"
    for name, value in fields.items():
        setattr(call, name, value)
    head, _, body = made.request(call, 1_700_000_000).partition(b"\r\n\r\n")
    first, *lines = head.decode("ascii").split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    assert len(headers) == len(lines)
    return first, headers, body


def test_a_request_says_which_call_it_is() -> None:
    first, headers, body = sent(function(), b'{"n":1}', baggage="k=v")
    assert first == "POST /x HTTP/1.1"
    assert body == b'{"n":1}'
    assert headers.pop("user-agent").startswith("iii-engine/")
    assert headers == {
        "accept": "application/json",
        "accept-encoding": "identity",
        "baggage": "k=v",
        "content-length": "7",
        "content-type": "application/json",
        "host": "example.com",
        "traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01",
        "x-iii-function-path": "a::b",
        "x-iii-invocation-id": "the-id",
        "x-iii-timestamp": "1700000000",
        "x-iii-trace-id": "ab" * 16,
    }


@pytest.mark.parametrize(
    ("method", "body"),
    [("POST", b"null"), ("PUT", b"null"), ("PATCH", b"null"), ("GET", b""), ("DELETE", b"")],
)
def test_nothing_is_sent_as_null_where_a_body_belongs(method: str, body: bytes) -> None:
    first, headers, got = sent(function(method=method), b"null")
    assert first.startswith(method)
    assert got == body
    assert headers.get("content-length") == ("4" if body else None)
    assert sent(function(method=method), b"[1]")[2] == b"[1]"


def test_custom_headers_never_replace_those_of_the_engine() -> None:
    custom = {
        "X-III-Function-Path": "other",
        "Host": "internal",
        "Content-Length": "0",
        "transfer-encoding": "chunked",
        "Connection": "close",
        "X-Mine": " yes ",
        "content-type": "application/vnd.mine+json",
    }
    _, headers, _ = sent(function(headers=custom))
    assert headers["x-iii-function-path"] == "a::b"
    assert headers["host"] == "example.com"
    assert headers["content-length"] == "2"
    assert headers["x-mine"] == "yes"
    assert headers["content-type"] == "application/vnd.mine+json"
    assert not headers.keys() & {"transfer-encoding", "connection"}


@pytest.mark.parametrize(
    ("headers", "field"),
    [
        ({"X-A": "secret\r\nX-B: 1"}, "X-A"),
        ({"X-A": "secret\x00"}, "X-A"),
        ({"X A": "secret"}, "X A"),
        ({"": "secret"}, "headers['']"),
        ({"X-A:": "secret"}, "X-A:"),
    ],
)
def test_what_is_no_header_is_refused_without_repeating_its_value(
    headers: dict[str, str], field: str
) -> None:
    with pytest.raises(BusError) as caught:
        function(headers=headers)
    assert caught.value.code == "invalid_message"
    assert field in caught.value.message
    assert "secret" not in caught.value.message


@pytest.mark.parametrize("timeout", [0, -1])
def test_a_timeout_is_positive(timeout: int) -> None:
    with pytest.raises(BusError, match=r"invocation\.timeout_ms"):
        function(timeout_ms=timeout)


def test_timeouts_have_a_default_and_a_limit() -> None:
    assert function().timeout_ms == 30_000
    assert function(timeout_ms=5).timeout_ms == 5
    assert function(timeout_ms=600_000).timeout_ms == 60_000


@pytest.mark.parametrize(
    ("id", "header"), [("a b", "a b"), ("ä\r\nX: 1", "%C3%A4%0D%0AX:%201"), (" a", "%20a")]
)
def test_an_id_of_any_characters_stays_one_header(id: str, header: str) -> None:
    _, headers, _ = sent(function(id))
    assert headers["x-iii-function-path"] == header.lower()


def test_baggage_that_is_no_header_is_left_out() -> None:
    assert "baggage" not in sent(function(), baggage="a=b\r\nX: 1")[1]


# -- credentials ---------------------------------------------------------------------------------


def test_bearer() -> None:
    made = function(auth=HttpAuth("bearer", token_key="KEY"), headers={"authorization": "mine"})
    assert sent(made)[1]["authorization"] == "bearer s3cret"


def test_api_key() -> None:
    made = function(auth=HttpAuth("api_key", header="X-Key", value_key="KEY"))
    assert sent(made)[1]["x-key"] == "s3cret"


def test_hmac_signs_timestamp_and_body() -> None:
    made = function(auth=HttpAuth("hmac", secret_key="KEY"))
    headers = sent(made, b'{"a":1}')[1]
    # HMAC-SHA256("s3cret", "1700000000:eyJhIjoxfQ=="), computed with openssl.
    expected = "ef70ecc409d280b3ed0a97fdb005b95bcea1b1c20e8984d0a9d92dcd79d1f077"
    assert signature("s3cret", 1_700_000_000, b'{"a":1}') in headers["x-iii-signature"]
    assert headers["x-iii-signature"] == f"sha256={expected}"


@pytest.mark.parametrize(
    ("auth", "code"),
    [
        (HttpAuth("hmac", secret_key="GONE"), "secret_not_found"),
        (HttpAuth("bearer", token_key="GONE"), "token_not_found"),
        (HttpAuth("api_key", header="X-Key", value_key="GONE"), "api_key_not_found"),
        (HttpAuth("hmac", secret_key="EMPTY"), "secret_not_found"),
        (HttpAuth("bearer", token_key="LINES"), "token_not_found"),
        (HttpAuth("hmac"), "missing_env_var"),
        (HttpAuth("bearer", token_key=""), "missing_env_var"),
        (HttpAuth("api_key", header="X-Key"), "missing_env_var"),
        (HttpAuth("api_key", value_key="KEY"), "invalid_message"),
        (HttpAuth("api_key", header="Host", value_key="KEY"), "invalid_message"),
    ],
)
def test_credentials_that_cannot_be_had(auth: HttpAuth, code: str) -> None:
    with pytest.raises(BusError) as caught:
        function(auth=auth)
    assert caught.value.code == code
    assert "Evil" not in caught.value.message
