from __future__ import annotations

import pytest

from iii_engine.net.origins import origin_allowed


@pytest.mark.parametrize(
    ("origin", "allowed", "expected"),
    [
        (None, None, True),
        (None, [], True),
        ("http://localhost:3000", None, True),
        ("https://127.0.0.1", None, True),
        ("http://[::1]:8080", None, True),
        ("http://evil.example", None, False),
        ("http://localhost.evil.example", None, False),
        ("http://127.0.0.1.evil.example", None, False),
        ("null", None, False),
        ("file://", None, False),
        ("http://app.example", ["http://app.example"], True),
        ("http://localhost", ["http://app.example"], False),
        ("http://anything", ["*"], True),
    ],
)
def test_origins(origin: str | None, allowed: list[str] | None, expected: bool) -> None:
    assert origin_allowed(origin, allowed) is expected
