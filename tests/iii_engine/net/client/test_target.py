from __future__ import annotations

import pytest

from iii_engine.net.client.security import Security
from iii_engine.net.client.target import UrlRefused, read_target

OPEN = Security(block_private_ips=False, require_https=False)


def refusal(url: str, security: Security) -> str:
    with pytest.raises(UrlRefused) as caught:
        read_target(url, security)
    assert caught.value.code == "url_validation_failed"
    return caught.value.message


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com/x",
        "//example.com",
        "https://",
        "https:///x",
        "https://user:secret@example.com/",
        "https://@example.com/",
        "https://example.com:0/",
        "https://example.com:99999/",
        "https://example.com:x/",
        "https://exa mple.com/",
        "https://example.com/a\r\nX: y",
        "https://example.com\\@internal/",
        "https://[::1/",
        "https://[fe80::1%25eth0]/",
        "https://exämple.com/",
        "https://example..com/",
        "https://ex%61mple.com/",
        "ftp://example.com/",
        "file:///etc/passwd",
    ],
)
def test_what_is_no_plain_web_address_is_refused(url: str) -> None:
    assert refusal(url, OPEN) == "Invalid URL"


def test_modules_case_122_https_is_required_unless_told_otherwise() -> None:
    assert refusal("http://example.com/", Security()) == "HTTPS is required"
    assert refusal("ftp://example.com/", Security()) == "HTTPS is required"
    assert read_target("http://example.com/", OPEN).origin.port == 80
    assert read_target("HTTPS://example.com/", Security()).origin.port == 443


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("https://api.example.com/", True),
        ("https://API.Example.COM./", True),
        ("https://a.b.example.com/", True),
        ("https://example.com/", False),
        ("https://evil.com/?api.example.com", False),
        ("https://api.example.com.evil.com/", False),
        ("https://host1/", True),
        ("https://host12/", False),
    ],
)
def test_the_host_must_match_a_glob(url: str, allowed: bool) -> None:
    security = Security(["*.example.com", "HOST?"])
    if allowed:
        read_target(url, security)
    else:
        assert refusal(url, security) == "URL not in allowlist"


def test_an_empty_list_allows_nothing() -> None:
    assert refusal("https://example.com/", Security([])) == "URL not in allowlist"


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "10.1.2.3", "[::1]", "[::ffff:127.0.0.1]", "127.1", "2130706433"]
)
def test_private_addresses_are_refused_without_a_lookup(host: str) -> None:
    assert refusal(f"https://{host}/", Security()) == "Private IP blocked"


@pytest.mark.parametrize(
    ("url", "header", "resource"),
    [
        ("https://example.com", "example.com", "/"),
        ("https://example.com:443/a?b=c#d", "example.com", "/a?b=c"),
        ("https://example.com:8443/a%20b", "example.com:8443", "/a%20b"),
        ("http://[2606:4700::1]:8080?x", "[2606:4700::1]:8080", "/?x"),
    ],
)
def test_what_is_requested(url: str, header: str, resource: str) -> None:
    target = read_target(url, OPEN)
    assert target.origin.header == header
    assert target.resource == resource
