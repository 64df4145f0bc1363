"""Who called: object payloads for workers name the calling worker."""

from __future__ import annotations

import re
from typing import Final

from msgspec import Raw

from iii_engine.core.router import Call
from iii_engine.core.sessions import Session
from iii_sdk import protocol

#: Payloads below this size are searched for a caller's name, in bytes; of larger ones the end is.
SEARCHED: Final = 4096
_NAME: Final = b"_caller_worker_id"
#: A quote behind a backslash is inside of a longer key.
_NAMED_AT_END: Final = re.compile(rb',?\s*(?<!\\)"_caller_worker_id"\s*:\s*"[^"\\]*"\s*\}\s*$')
#: Where the engine puts the key is within the last so many bytes of a payload.
_AT_END: Final = 128
#: A letter or underscore that somebody took the trouble to escape; no usual writer does.
_ESCAPED: Final = re.compile(rb"\\u00[567]")
_BACKSLASH: Final = ord("\\")
_OPEN: Final = ord("{")
_QUOTE: Final = ord('"')


def stamp_caller(call: Call, session: Session) -> None:
    """Object payloads tell a worker who called: `_caller_worker_id`, whatever the client sent.

    The key goes last, and JSON readers keep the last of equal keys. Strict ones refuse equal keys,
    so a payload that has it is rewritten when it is small; in a large one, which would take long to
    search, the key is looked for where the engine puts it, for workers that pass on what they got.
    """
    if len(call.data) < SEARCHED:
        text = bytes(call.data)
        if text[0] != _OPEN:
            return
        if _may_name(text):
            text = bytes(without_caller(text, text))
        call.data = text[:-1]
        bare = text[1] != _QUOTE and not text[1:-1].strip()
    else:
        view = memoryview(call.data)
        if view[0] != _OPEN:
            return
        end, stop = bytes(view[-_AT_END:]), len(view) - 1
        if end.find(_NAME) >= 0 and (named := _NAMED_AT_END.search(end)) is not None:
            stop += 1 + named.start() - len(end)
        call.data = Raw(view[:stop])
        bare = view[1] != _QUOTE and not bytes(view[1:stop]).strip()
    call.ending = session.caller_ending
    if bare:
        call.ending = call.ending[1:]  # the object is empty: no comma


def without_caller(data: Raw | bytes, frame: bytes) -> Raw | bytes:
    """The payload without a `_caller_worker_id` that the client made up."""
    if _may_name(frame):
        value = protocol.tolerant_value(bytes(data))
        if isinstance(value, dict) and "_caller_worker_id" in value:
            del value["_caller_worker_id"]
            return protocol.tolerant_raw(value)
    return data


def _may_name(frame: bytes) -> bool:
    """Whether the key may be in it, in whatever spelling."""
    return frame.find(_NAME) >= 0 or (_BACKSLASH in frame and _ESCAPED.search(frame) is not None)
