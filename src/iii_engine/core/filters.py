"""Filters over functions: by id, or by metadata. Both anchored, in time linear in the text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final, TypeAlias

import msgspec
from msgspec import Raw

from iii_sdk.protocol import tolerant_value

_MATCH: Final = re.compile(r"match\((?P<quote>['\"])(?P<pattern>.*)(?P=quote)\)", re.DOTALL)


@dataclass(frozen=True)
class Wildcard:
    """`*` stands for any run of characters; the rest has to be there, from the first to the last.

    Each piece is searched for once, from the left, so a hostile text costs no more than its length.
    """

    pattern: str

    @cached_property
    def _pieces(self) -> list[str]:
        return self.pattern.split("*")

    def matches(self, text: str) -> bool:
        first, *inner = self._pieces
        if not inner:
            return text == first
        last = inner.pop()
        start, end = len(first), len(text) - len(last)
        if end < start or not text.startswith(first) or not text.endswith(last):
            return False
        for piece in inner:
            found = text.find(piece, start, end)
            if found < 0:
                return False
            start = found + len(piece)
        return True


def read_match(text: str) -> Wildcard | None:
    """The pattern of `match("…")`; None for any other text."""
    found = _MATCH.fullmatch(text.strip())
    return Wildcard(found["pattern"]) if found else None


@dataclass(frozen=True)
class IdFilter:
    """Functions whose id matches."""

    wildcard: Wildcard

    def admits(self, function_id: str, metadata: Raw) -> bool:
        return self.wildcard.matches(function_id)


@dataclass(frozen=True)
class MetadataFilter:
    """Functions whose metadata has every listed key, equal to the value or matching its pattern."""

    wanted: tuple[tuple[str, object], ...]

    def admits(self, function_id: str, metadata: Raw) -> bool:
        try:
            found: object = msgspec.json.decode(metadata)
        except (msgspec.DecodeError, UnicodeDecodeError):
            found = tolerant_value(bytes(metadata))
        return isinstance(found, dict) and all(
            key in found and _fits(wanted, found[key]) for key, wanted in self.wanted
        )


Filter: TypeAlias = IdFilter | MetadataFilter


def read_filter(value: str | Mapping[str, object]) -> Filter:
    """A filter from `match("…")`, or from the metadata it asks for. Raises `ValueError`."""
    if isinstance(value, str):
        wildcard = read_match(value)
        if wildcard is None:
            raise ValueError('expected match("pattern") or a mapping with the key `metadata`')
        return IdFilter(wildcard)
    if not value:
        raise ValueError("metadata: names no key, which would expose every function")
    return MetadataFilter(
        tuple(
            (key, (read_match(item) or item) if isinstance(item, str) else item)
            for key, item in value.items()
        )
    )


def _fits(wanted: object, found: object) -> bool:
    if isinstance(wanted, Wildcard):
        return isinstance(found, str) and wanted.matches(found)
    return _same(wanted, found)


def _same(one: object, other: object) -> bool:
    """Equality of JSON values: unlike Python, JSON keeps `true` and `1` apart."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return isinstance(one, bool) is isinstance(other, bool) and one == other
