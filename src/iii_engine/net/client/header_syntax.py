"""What can be a header of a request."""

from __future__ import annotations

import re
from typing import Final

_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE: Final = re.compile(r"[\t -~]*")


def is_header_name(name: str) -> bool:
    return _TOKEN.fullmatch(name) is not None


def is_header_value(value: str) -> bool:
    """Can it travel in a header without ending it?"""
    return _VALUE.fullmatch(value) is not None
