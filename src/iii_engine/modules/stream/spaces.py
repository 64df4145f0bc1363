"""Where the items of a group are in the store: the space `stream/<stream>/<group>`.

Names may be any text. In that of a stream `/` is written `%2F` and `%` is `%25`; what follows the
next `/` is the group, as it is.
"""

from __future__ import annotations

from typing import Final

PREFIX: Final = "stream/"


def space_of(stream: str, group: str) -> str:
    return prefix_of(stream) + group


def prefix_of(stream: str) -> str:
    """How the spaces of a stream begin."""
    return f"{PREFIX}{stream.replace('%', '%25').replace('/', '%2F')}/"


def names_of(space: str) -> tuple[str, str]:
    """Stream and group of a space."""
    stream, _, group = space[len(PREFIX) :].partition("/")
    return stream.replace("%2F", "/").replace("%25", "%"), group
