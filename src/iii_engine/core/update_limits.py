"""Limits of update operations: paths and merged values that are refused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from iii_engine.core.update_types import Refused, kind_of

SEGMENTS: Final = 32
SEGMENT_BYTES: Final = 256
MERGE_KEYS: Final = 1024
MERGE_DEPTH: Final = 16
"""Arrays and objects inside each other, the value itself included."""

#: Keys that would reach the prototype of an object in a JavaScript reader.
PROTOTYPE_KEYS: Final = frozenset({"__proto__", "constructor", "prototype"})


def check_segments(op: str, segments: Sequence[str]) -> None:
    """Refuse a path that is too long or dangerous; `op` is the prefix of the code."""
    if len(segments) > SEGMENTS:
        raise Refused(f"{op}.path.too_deep", f"the path has more than {SEGMENTS} segments")
    for segment in segments:
        if not segment:
            raise Refused(f"{op}.path.empty_segment", "a segment of the path is empty")
        if len(segment) > SEGMENT_BYTES or len(_utf8(segment)) > SEGMENT_BYTES:
            raise Refused(
                f"{op}.path.segment_too_long",
                f"a segment of the path is longer than {SEGMENT_BYTES} bytes",
            )
        if segment in PROTOTYPE_KEYS:
            raise Refused(f"{op}.path.proto_polluted", f"{segment!r} is not allowed in a path")


def check_merge_value(value: object, *, array: bool) -> dict[str, object] | list[object]:
    """The value if it may be merged; an array only where `array` says so."""
    if isinstance(value, dict):
        if len(value) > MERGE_KEYS:
            raise Refused("merge.value.too_many_keys", f"the value has over {MERGE_KEYS} keys")
        for key in value.keys() & PROTOTYPE_KEYS:
            raise Refused("merge.value.proto_polluted", f"{key!r} is not allowed in a value")
    elif not (array and isinstance(value, list)):
        raise Refused("merge.value.not_an_object", f"cannot merge {kind_of(value)}")
    if _deeper_than(value, MERGE_DEPTH):
        raise Refused("merge.value.too_deep", f"the value is nested over {MERGE_DEPTH} levels")
    return value


def _deeper_than(value: object, levels: int) -> bool:
    if not isinstance(value, (dict, list)):
        return False
    if levels == 0:
        return True
    inner = value.values() if isinstance(value, dict) else value
    return any(_deeper_than(item, levels - 1) for item in inner)


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
