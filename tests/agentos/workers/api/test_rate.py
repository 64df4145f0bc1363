"""Who asks."""

from __future__ import annotations

import pytest

from agentos.workers.api.rate import client_ip
from iii_sdk import HttpRequest
from iii_sdk.envelope import Envelope


def request(forwarded: str | None, ip: str | None = "10.0.0.9") -> HttpRequest:
    headers = {} if forwarded is None else {"x-forwarded-for": forwarded}
    return HttpRequest(Envelope(headers=headers, client_ip=ip))


@pytest.mark.parametrize(
    ("proxies", "forwarded", "expected"),
    [
        ("0", "1.1.1.1", "10.0.0.9"),
        ("1", "6.6.6.6, 1.1.1.1", "1.1.1.1"),
        ("2", "6.6.6.6, 1.1.1.1", "6.6.6.6"),
        ("3", "6.6.6.6, 1.1.1.1", "10.0.0.9"),
        ("1", None, "10.0.0.9"),
        ("nonsense", "1.1.1.1", "10.0.0.9"),
    ],
)
def test_only_trusted_proxies_are_believed(
    monkeypatch: pytest.MonkeyPatch, proxies: str, forwarded: str | None, expected: str
) -> None:
    monkeypatch.setenv("TRUSTED_PROXY_COUNT", proxies)
    assert client_ip(request(forwarded)) == expected


def test_nobody_known() -> None:
    assert client_ip(None) == "unknown"
    assert client_ip(request(None, None)) == "unknown"
