"""`engine::baggage::*`: the W3C baggage that came with the call."""

from __future__ import annotations

from urllib.parse import unquote

from msgspec import Struct


class BaggageKey(Struct):
    key: str


class BaggageValue(Struct):
    value: str | None


class BaggageEntry(Struct):
    key: str
    value: str


class BaggageNote(Struct):
    success: bool
    note: str


class BaggageItems(Struct):
    baggage: dict[str, str]


SET_NOTE = BaggageNote(
    True, "the caller's context cannot be changed from here: set baggage with the SDK"
)


def parse_baggage(header: str | None) -> dict[str, str]:
    """The members of a W3C `baggage` header; properties after `;` and broken members are left out.

    Format: https://www.w3.org/TR/baggage/
    """
    items = {}
    for member in (header or "").split(","):
        key, separator, value = member.partition(";")[0].partition("=")
        if separator and key.strip():
            items[key.strip()] = unquote(value.strip())
    return items
