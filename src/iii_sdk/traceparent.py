"""The W3C header that says to which trace a call belongs."""

from __future__ import annotations

import re
from typing import Final

_FORM: Final = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")


def is_traceparent(text: str) -> bool:
    """Whether the text is a traceparent of version 00; such a text needs no escaping."""
    return _FORM.fullmatch(text) is not None


def parse_traceparent(text: str) -> tuple[str, str] | None:
    """Trace id and parent span id of a W3C traceparent, or None when it is not one."""
    match = _FORM.fullmatch(text)
    return (match[1], match[2]) if match else None
