"""Integers that JSON allows and clients do not read.

Python refuses integers of more than 4,300 digits, and a published client whose receive loop meets
one is deaf from then on, so such an integer must not reach anybody.
"""

from __future__ import annotations

from typing import Final

#: The longest integer that is carried, in digits.
MAX_DIGITS: Final = 4300

#: A longer run of digits has one at so many neighbouring places, if every `_STEP`th is looked at.
_STEP: Final = 100
_SIGN: Final = b"0" * (MAX_DIGITS // _STEP)

_TOO_LONG: Final = b"0" * (MAX_DIGITS + 1)
_OTHER: Final = b"-"
#: Digits become 0, everything else becomes `_OTHER`.
_MARKS: Final = bytes(ord("0" if chr(n).isdecimal() and n < 128 else _OTHER) for n in range(256))

#: What may stand before and after an integer; other neighbours are those of fractions and text.
_BEFORE: Final = frozenset((b"", *(bytes((mark,)) for mark in b"[:,- \t\r\n")))
_AFTER: Final = frozenset((b"", *(bytes((mark,)) for mark in b",]} \t\r\n")))


def has_endless_integer(frame: bytes) -> bool:
    """Whether a JSON text holds an integer of more than `MAX_DIGITS` digits.

    Nearly every frame is known by a hundredth of its bytes; none takes more than linear time.
    """
    if len(frame) <= MAX_DIGITS or _SIGN not in frame[::_STEP].translate(_MARKS):
        return False
    marks = frame.translate(_MARKS)
    start, quotes, counted = marks.find(_TOO_LONG), 0, 0
    while start >= 0:
        end = marks.find(_OTHER, start)
        if end < 0:
            end = len(frame)
        if frame[start - 1 : start] in _BEFORE and frame[end : end + 1] in _AFTER:
            quotes += _quotes(frame[counted:start])
            counted = start
            if quotes % 2 == 0:
                return True
        start = marks.find(_TOO_LONG, end)
    return False


def _quotes(text: bytes) -> int:
    """Quotation marks that begin or end a string."""
    if b"\\" in text:
        text = text.replace(rb"\\", b"").replace(rb"\"", b"")
    return text.count(b'"')
