"""What may be logged of a request, and what may not."""

from __future__ import annotations

from collections.abc import Mapping

REDACTED = "[REDACTED]"

SECRET_HEADERS = frozenset(
    {
        "authorization",
        "cookie",
        "set-cookie",
        "x-api-key",
        "api-key",
        "x-auth-token",
        "x-access-token",
        "x-secret",
        "x-csrf-token",
        "proxy-authorization",
    }
)


def headers_for_log(headers: Mapping[str, str]) -> dict[str, str]:
    return {
        name: REDACTED if name.lower() in SECRET_HEADERS else value
        for name, value in headers.items()
    }


def target_for_log(target: str) -> str:
    """Path and the names of the query's keys."""
    path, mark, query = target.partition("?")
    if not mark:
        return path
    return path + "?" + "&".join(field.partition("=")[0] for field in query.split("&"))
