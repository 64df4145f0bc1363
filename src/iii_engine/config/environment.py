"""`${VAR}` and `${VAR:default}` inside configuration text."""

from __future__ import annotations

import re
from collections.abc import Mapping

from iii_engine.version import VERSION

#: A reference, or the escaped form of one. It stays within a line.
REFERENCE = re.compile(
    r"\$(?P<literal>\$\{[^}\n]*\})|\$\{(?P<name>[^}:\n]+)(?::(?P<default>[^}\n]*))?\}"
)

#: As a default, this text stands for the engine's version.
VERSION_PLACEHOLDER = "__III_ENGINE_VERSION__"


class Environment:
    """Expands references and remembers, once each, the variables that were missing."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables
        self._missing: dict[str, None] = {}

    @property
    def missing(self) -> list[str]:
        """Variables that are not set and had no default, in the order they were met."""
        return list(self._missing)

    def expand(self, text: str) -> str:
        """Replace the references in `text`. A set variable wins, even an empty one.

        `$${X}` is the way to write a literal `${X}`. A missing variable becomes empty text here
        and an entry of `missing`.
        """
        return REFERENCE.sub(self._value, text)

    def _value(self, match: re.Match[str]) -> str:
        if match["literal"] is not None:
            return match["literal"]
        name, default = match["name"], match["default"]
        value = self._variables.get(name)
        if value is not None:
            return value
        if default is None:
            self._missing[name] = None
            return ""
        return VERSION if default == VERSION_PLACEHOLDER else default
