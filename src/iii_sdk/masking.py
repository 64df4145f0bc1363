"""Addresses as messages may show them: without passwords, tokens and what may be one."""

from __future__ import annotations

import re
from typing import Final

#: An address that can be read in one way only. What may stand in a password here is less than
#: libraries take: where they disagree with who wrote it, a part of it becomes a host or a port.
_PLAIN: Final = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*://)"
    r"(?:(?P<user>[\w.~!$&'()*+;=%-]*)(?P<password>:[\w.~!$&'()*+;=%:^|{}<>\"`-]*)?@)?"
    r"(?P<place>(?:\[[0-9a-f:.]*\]|[\w.~%-]*)(?::[0-9]*)?(?:/[^?#@]*)?)"
    r"(?P<query>\?[^#@]*)?(?:#[^@]*)?",
    re.IGNORECASE | re.ASCII,
)

#: What is said of another address in place of what a library says.
EXPECTED: Final = "in names and passwords, special characters are written as %XX"


def masked(url: str) -> str:
    """The address, or several separated by commas, as messages may show it: without secrets.

    Of one that is not plain only what is behind the last `@` is shown.
    """
    if (plain := _plain(url)) is not None:
        return ",".join(map(_shown, plain))
    secret, at, place = url.rpartition("@")
    if not at:
        return re.sub(r"((?:^[a-z]+://)?[^:?#]*.).*", r"\1***", url, count=1, flags=re.DOTALL)
    if re.search(r"\?.*=", secret, re.DOTALL):  # the `@` is in the value of an option
        return "***"
    return f"***@{re.split('[?#]', place)[0]}"


def reason(url: str, words: str) -> str:
    """What a library says of an address, unless it may repeat a part of a password."""
    return EXPECTED if _plain(url) is None else words


def _plain(url: str) -> list[re.Match[str]] | None:
    """All addresses in it; None when one is not plain."""
    found = [_PLAIN.fullmatch(part.strip()) for part in url.split(",")]
    plain = [each for each in found if each is not None]
    return plain if len(plain) == len(found) else None


def _shown(plain: re.Match[str]) -> str:
    scheme, user, password, place, query = plain.groups()
    # A name alone may be a token.
    login = "" if user is None else "***@" if password is None else f"{user}:***@"
    return f"{scheme}{login}{place}{'?***' if query else ''}"
