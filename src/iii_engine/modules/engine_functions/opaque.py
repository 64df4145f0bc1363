"""Fields that are carried and never parsed: JSON of any shape."""

from __future__ import annotations

from typing import TypeAlias

from msgspec import UNSET, Raw, UnsetType

from iii_sdk.protocol import NULL, is_null

#: A field that is left out of the answer when it is unset.
Optional: TypeAlias = Raw | UnsetType


def null() -> Raw:
    """The default of an opaque field; as a factory, because a schema cannot show the bytes."""
    return NULL


def present(value: Raw) -> Optional:
    """The value, or unset for null."""
    return UNSET if is_null(value) else value
