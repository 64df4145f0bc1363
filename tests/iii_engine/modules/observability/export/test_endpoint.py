"""Where OTLP goes."""

from __future__ import annotations

import pytest

from iii_engine.modules.observability.export.endpoint import SIGNALS, read_endpoint
from iii_sdk.errors import BusError


def targets(url: str) -> dict[str, str]:
    endpoint = read_endpoint(url, {})
    return {
        signal: f"{target.origin.scheme}://{target.origin.header}{target.resource}"
        for signal, target in endpoint.targets.items()
    }


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("http://localhost:4318", "http://localhost:4318"),
        ("http://localhost:4318/", "http://localhost:4318"),
        ("https://otlp.example/api/otlp/", "https://otlp.example/api/otlp"),
        ("http://localhost:4317/otlp", "http://localhost:4317/otlp"),
        ("http://c:9/v1/traces", "http://c:9"),
        ("http://c:9/x/v1/logs/", "http://c:9/x"),
        ("http://[::1]:4317", "http://[::1]:4318"),
    ],
)
def test_one_base_for_all_signals(url: str, base: str) -> None:
    assert targets(url) == {signal: f"{base}/v1/{signal}" for signal in SIGNALS}


def test_the_port_of_grpc_becomes_that_of_http_and_this_is_said() -> None:
    endpoint = read_endpoint("http://localhost:4317", {})
    assert endpoint.shown == "http://localhost:4318"
    assert endpoint.note is not None
    assert "gRPC" in endpoint.note
    assert read_endpoint("http://localhost:4318", {}).note is None


def test_a_password_becomes_a_header_and_is_not_shown() -> None:
    endpoint = read_endpoint("https://me:h%40sh@c.example/otlp?key=hush", {"x-tenant": "1"})
    assert endpoint.headers == {"x-tenant": "1", "Authorization": "Basic bWU6aEBzaA=="}
    assert endpoint.shown == "https://c.example/otlp"
    assert endpoint.targets["logs"].resource == "/otlp/v1/logs?key=hush"


@pytest.mark.parametrize(
    "url", ["", "localhost:4318", "grpc://c:1", "http://", "http://a:b:c", "http://x:99999"]
)
def test_what_is_no_url_is_named_by_its_option(url: str) -> None:
    with pytest.raises(BusError, match=r"config\.endpoint: "):
        read_endpoint(url, {})


@pytest.mark.parametrize("headers", [{"a b": "c"}, {"": "c"}, {"a": "hush\r\nx: y"}])
def test_what_is_no_header_is_refused_without_its_value(headers: dict[str, str]) -> None:
    with pytest.raises(BusError, match=r"config\.otlp_headers: ") as caught:
        read_endpoint("http://c:1", headers)
    assert "hush" not in str(caught.value)
