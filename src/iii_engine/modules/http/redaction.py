"""What may be shown of a request in logs and traces, and what may not."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import unquote_plus

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


#: Query fields whose values are secrets.
_SECRET_FIELD = re.compile("token|key|secret|password|sig", re.IGNORECASE)


def query_for_spans(query: str) -> str:
    """A query string without the values of secret fields."""
    return "&".join(map(_field, query.split("&")))


def _field(text: str) -> str:
    name, equals, _ = text.partition("=")
    secret = equals and _SECRET_FIELD.search(unquote_plus(name))
    return f"{name}={REDACTED}" if secret else text


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
