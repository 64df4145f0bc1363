"""Ids that become part of state scopes and keys."""

from __future__ import annotations

import re

from iii_sdk.errors import InvalidInput

_ID = re.compile(r"[A-Za-z0-9_\-:.]{1,256}")


def require_id(value: str, field: str) -> str:
    """`value` when it is a usable id, for example of an agent.

    Raises `InvalidInput`: `<field> is required` when blank, `Invalid ID format: <id>` when it has
    other characters than letters, digits and `_-:.`, or more than 256.
    """
    if not value.strip():
        raise InvalidInput(f"{field} is required")
    if _ID.fullmatch(value) is None:
        raise InvalidInput(f"Invalid ID format: {value[:300]}")
    return value
