"""What the http module hands to a function."""

from __future__ import annotations

from typing import Any

#: The header of a caller who has the key.
KEY = {"authorization": "bearer right"}


def request(
    path: str = "/items/:itemId",
    method: str = "GET",
    *,
    headers: dict[str, str] = KEY,
    query: dict[str, str] | None = None,
    params: dict[str, str] | None = None,
    body: object = None,
    **more: object,
) -> dict[str, Any]:
    """What the http module hands to a function."""
    return {
        "path": path,
        "method": method,
        "query_params": query or {},
        "path_params": params or {},
        "headers": headers,
        "body": body,
        "trigger": {"type": "http", "path": path, "method": method},
        "context": {},
        **more,
    }
