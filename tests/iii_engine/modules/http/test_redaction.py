"""What logs may show, and the statuses of flat routes."""

from __future__ import annotations

import pytest

from iii_engine.modules.http.failure import flat_status
from iii_engine.modules.http.redaction import headers_for_log, query_for_spans, target_for_log


def test_headers() -> None:
    shown = headers_for_log({"Authorization": "Bearer x", "x-api-key": "y", "accept": "z"})
    assert shown == {"Authorization": "[REDACTED]", "x-api-key": "[REDACTED]", "accept": "z"}


def test_query_strings_show_their_keys_only() -> None:
    assert target_for_log("/a?token=s3cret&b=1&c") == "/a?token&b&c"
    assert target_for_log("/a") == "/a"


def test_spans_show_the_values_of_a_query_but_not_the_secret_ones() -> None:
    assert query_for_spans("a=1&api_key=x&b&Signature=y&token") == (
        "a=1&api_key=[REDACTED]&b&Signature=[REDACTED]&token"
    )
    assert query_for_spans("") == ""


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("realm_not_found", 404),
        ("NOT_FOUND", 404),
        ("not_found", 404),
        ("deserialization_error", 400),
        ("validation_failed", 400),
        ("FORBIDDEN", 403),
        ("UNAUTHORIZED", 401),
        ("conflict", 409),
        ("function_not_found", 500),
        ("boom", 500),
    ],
)
def test_status_of_an_error_code(code: str, status: int) -> None:
    assert flat_status(code) == status
