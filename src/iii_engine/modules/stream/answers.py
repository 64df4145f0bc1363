"""Schemas of what the functions of `iii-stream` answer."""

from __future__ import annotations

from typing import Any

from msgspec import Struct


class Deleted(Struct):
    """What was there, or null."""

    #: What was there.
    old_value: Any


class Groups(Struct):
    """A stream and its groups, sorted."""

    #: The name of the stream.
    id: str
    #: Its groups.
    groups: list[str]


class AllStreams(Struct):
    """All streams by name, and how many there are."""

    #: One entry for each.
    stream: list[Groups]
    #: How many there are.
    count: int
