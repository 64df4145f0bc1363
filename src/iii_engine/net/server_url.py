"""Addresses of servers that the engine is a client of."""

from __future__ import annotations

import re
from typing import Final

#: Seconds in which a server has to answer when the engine starts.
CONNECT_SECONDS: Final = 5.0

#: Passwords may hold anything, also what would have to be written as %XX: up to the last `@`.
_USER_INFO: Final = re.compile(r"^(\s*(?:\w+://)?)(.*)@", re.S)
_SECRETS: Final = re.compile(r"(?<=[?&])([^=&#]*(?:pass|token|secret|key)[^=&#]*)=[^&]*", re.I)
#: Between the addresses of one server.
_COMMA: Final = re.compile(r",(?=\s*\w+://)")


def masked(url: str) -> str:
    """The address, or several with commas, as messages may show it: without passwords and tokens.

    Also of an address that is none: what is refused is what is shown.
    """
    return ",".join(
        _SECRETS.sub(r"\1=***", _USER_INFO.sub(_hidden, one)) for one in _COMMA.split(url)
    )


def _hidden(found: re.Match[str]) -> str:
    scheme, user_info = found.groups()
    user, colon, _ = user_info.partition(":")
    # A name alone may be a token.
    return f"{scheme}{user}:***@" if colon else f"{scheme}***@"


def no_address(url: str, server: str) -> str:
    """The refusal of an address. Not in the words of who has read it: they quote parts of it."""
    return (
        f"{masked(url)} is no address of a {server} server "
        "(in names and passwords, special characters are written as %XX)"
    )
