"""References to the environment, kept out of the YAML parser's sight.

A plain scalar inside `{…}` or `[…]` may not contain braces, yet `{port: ${PORT:3111}}` is what
people write. So each reference is replaced by a stand-in of the same length (places in messages
stay right) before parsing, and expanded in the scalars that contain one afterwards.
"""

from __future__ import annotations

import re

from iii_engine.config.environment import REFERENCE, Environment
from iii_engine.config.errors import ConfigError

#: A stand-in is one private-use character, which is its number, and then padding.
_FIRST, _PADDING = 0xE000, "\uf8ff"
_STAND_IN = re.compile("[\ue000-\uf8fe]\uf8ff{3,}")
_MOST = 0xF8FF - _FIRST


class References:
    """The references of one text."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._texts: list[str] = []

    def hide(self, text: str) -> str:
        """The text with stand-ins for its references. Raises `ConfigError` for too many."""
        return REFERENCE.sub(self._stand_in, text)

    def expand(self, text: str) -> str:
        """A scalar with its references replaced by their values."""
        return _STAND_IN.sub(lambda match: self._environment.expand(self._text(match)), text)

    def restore(self, text: str) -> str:
        """A piece of the text as it was written."""
        return _STAND_IN.sub(self._text, text)

    def _stand_in(self, match: re.Match[str]) -> str:
        if len(self._texts) == _MOST:
            raise ConfigError(f"more than {_MOST} references to the environment")
        self._texts.append(match[0])
        return chr(_FIRST + len(self._texts) - 1) + _PADDING * (len(match[0]) - 1)

    def _text(self, match: re.Match[str]) -> str:
        number = ord(match[0][0]) - _FIRST
        return self._texts[number] if number < len(self._texts) else match[0]
