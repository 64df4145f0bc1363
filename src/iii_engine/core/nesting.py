"""How deep a JSON text may be nested, so that it can be read again wherever it is carried to.

Readers count their levels against the interpreter's limit for the whole stack. So what one of them
just reads, another one fails at that is called from a few functions deeper. This bound is far from
that limit, and the same everywhere.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from itertools import accumulate
from typing import Final, TypeVar

#: Levels of arrays and objects, the envelope included.
LEVELS: Final = 256

#: No JSON text up to this size has more levels.
SHALLOW_BYTES: Final = 2 * LEVELS

#: Levels that are taken away cheaply, the innermost first: most texts have no more.
_PEELED: Final = 8

_NO_MARKS: Final = bytes(byte for byte in range(256) if byte not in b'[]{}"')
_SQUARE: Final = bytes.maketrans(b"{}", b"[]")
_STEPS: Final = {ord("["): 1, ord("]"): -1}


#: In longer texts the reader itself counts: to look at them first would cost more than to carry
#: them. It counts the functions that it was called from as well, so its bound is larger.
_COUNTED_BYTES: Final = 16 * 1024
_READER_LEVELS: Final = 400

#: So many more for a text that was let in before, perhaps from fewer functions.
_MORE_LEVELS: Final = 100

#: Later versions of Python bound their own functions alone in this way.
_READERS_COUNT: Final = sys.version_info < (3, 12)

T = TypeVar("T")


def read_within(read: Callable[[bytes], T], text: bytes, *, again: bool = False) -> T:
    """What `read` makes of a JSON text. Raises `RecursionError` when it is nested too deeply.

    `LEVELS` are never too deep, in a short text one more is, and `_READER_LEVELS` are in any.
    What was read so once is never too deep `again`.
    """
    if len(text) <= _COUNTED_BYTES or not _READERS_COUNT:
        if len(text) > SHALLOW_BYTES and too_deep(text):
            raise RecursionError("nested too deeply")
        return read(text)
    usual = sys.getrecursionlimit()
    sys.setrecursionlimit(_READER_LEVELS + (_MORE_LEVELS if again else 0))
    try:
        return read(text)
    finally:
        sys.setrecursionlimit(usual)


def too_deep(text: bytes) -> bool:
    """Whether a JSON text has more levels than `LEVELS`; it need not be valid."""
    if text.count(b"[") + text.count(b"{") <= LEVELS:
        return False
    if b"\\" in text:
        text = text.replace(b"\\\\", b"").replace(b'\\"', b"")
    marks = text.translate(_SQUARE, _NO_MARKS).replace(b'""', b"")
    brackets = b"".join(marks.split(b'"')[::2])
    for _ in range(_PEELED):
        brackets = brackets.replace(b"[]", b"")
    if len(brackets) <= LEVELS - _PEELED:
        return False
    return max(accumulate(map(_STEPS.__getitem__, brackets))) > LEVELS - _PEELED
