"""Schemas of what the functions of `iii-stream` answer."""

from __future__ import annotations

from typing import Any

from msgspec import Struct


class Deleted(Struct):
    """What was there, or null."""

    old_value: Any


class Groups(Struct):
    """A stream and its groups, sorted."""

    id: str
    groups: list[str]


class AllStreams(Struct):
    """All streams by name, and how many there are."""

    stream: list[Groups]
    count: int
