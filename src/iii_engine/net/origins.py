"""Which web pages may open a socket. Programs send no `Origin`; browsers always do."""

from __future__ import annotations

import re
from collections.abc import Sequence

from picows import WSUpgradeRequest

_LOOPBACK = re.compile(r"https?://(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d{1,5})?")


def origin_of(request: WSUpgradeRequest) -> str | None:
    """The origin that a request states; several are one that no list has."""
    stated = request.headers.getall("Origin", [])
    return ", ".join(stated) if stated else None


def origin_allowed(origin: str | None, allowed: Sequence[str] | None) -> bool:
    """Absent origins pass. Without a list only pages of this machine pass; `*` passes all."""
    if origin is None:
        return True
    if allowed is None:
        return _LOOPBACK.fullmatch(origin) is not None
    return "*" in allowed or origin in allowed
