"""Function ids as tool names, and back.

Providers allow `[A-Za-z0-9_-]{1,64}` while our ids contain `::`. Replacing characters loses
information, so each request keeps the exact map of the names it handed out.
"""

from __future__ import annotations

import hashlib
import re

_ILLEGAL = re.compile(r"[^A-Za-z0-9_-]")
_LONGEST = 64


class NameMap:
    """Two-way map of one request; names are handed out on first use."""

    def __init__(self) -> None:
        self._name_of: dict[str, str] = {}
        self._id_of: dict[str, str] = {}

    def name(self, function_id: str) -> str:
        """The tool name of a function id; always the same within one request."""
        known = self._name_of.get(function_id)
        if known is not None:
            return known
        name = self._free(_plain_name(function_id))
        self._name_of[function_id] = name
        self._id_of[name] = function_id
        return name

    def id(self, name: str) -> str:
        """The function id behind a name a model used; unknown names are read as `ns__name`."""
        return self._id_of.get(name) or name.replace("__", "::")

    def _free(self, name: str) -> str:
        candidate, number = name, 2
        while candidate in self._id_of:
            suffix = f"_{number}"
            candidate = name[: _LONGEST - len(suffix)] + suffix
            number += 1
        return candidate


def _plain_name(function_id: str) -> str:
    name = _ILLEGAL.sub("_", function_id.replace("::", "__")) or "_"
    if len(name) <= _LONGEST:
        return name
    return f"{name[:55]}_{hashlib.sha256(function_id.encode()).hexdigest()[:8]}"
