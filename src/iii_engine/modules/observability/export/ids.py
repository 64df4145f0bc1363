"""Ids as OTLP has them."""

from __future__ import annotations

import re
from typing import Final

_HEX: Final = re.compile(r"[0-9a-fA-F]+")


def as_hex(id: str | None, digits: int) -> str:
    """The id when it has this form; "" for others: whoever logs may write anything as an id."""
    if id is None or len(id) != digits or _HEX.fullmatch(id) is None:
        return ""
    return id
