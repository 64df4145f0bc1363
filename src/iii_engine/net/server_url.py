"""Addresses of servers that the engine is a client of."""

from __future__ import annotations

import re
from typing import Final

#: Seconds in which a server has to answer when the engine starts.
CONNECT_SECONDS: Final = 5.0

_USER_INFO: Final = re.compile(r"(?<=//)[^/?#]*@")
_SECRETS: Final = re.compile(r"(?<=[?&])([^=&#]*(?:pass|token|secret|key)[^=&#]*)=[^&#]*", re.I)


def masked(url: str) -> str:
    """The address as messages may show it: without passwords and tokens."""

    def hidden(found: re.Match[str]) -> str:
        user, colon, _ = found[0][:-1].partition(":")
        # A name alone may be a token.
        return f"{user}:***@" if colon else "***@"

    return _SECRETS.sub(r"\1=***", _USER_INFO.sub(hidden, url))
