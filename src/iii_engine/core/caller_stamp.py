"""Who called: object payloads for workers name the calling worker."""

from __future__ import annotations

import re
from typing import Final

from msgspec import Raw

from iii_engine.core.router import Call
from iii_engine.core.sessions import Session
from iii_sdk import protocol

#: Frames up to this size are searched for a caller's name, in bytes; of larger ones the end is.
SEARCHED: Final = 4096
_NAMED_AT_END: Final = re.compile(rb',?\s*"_caller_worker_id"\s*:\s*"[^"\\]*"\s*\}\s*$')
#: A letter or underscore that somebody took the trouble to escape; no usual writer does.
_ESCAPED: Final = re.compile(rb"\\u00[567]")
_OPEN: Final = ord("{")
_QUOTE: Final = ord('"')


def stamp_caller(call: Call, session: Session, frame: bytes) -> None:
    """Object payloads tell a worker who called: `_caller_worker_id`, whatever the client sent.

    The key goes last, and JSON readers keep the last of equal keys. Strict ones refuse equal keys,
    so a payload that has it is rewritten when it is small; in a large one, which would take long to
    search, the key is looked for where the engine puts it, for workers that pass on what they got.
    """
    view = memoryview(call.data)
    if not view or view[0] != _OPEN:
        return
    if len(frame) < SEARCHED:
        if _may_name(frame):
            call.data = without_caller(call.data, frame)
            view = memoryview(call.data)
    elif (named := _NAMED_AT_END.search(bytes(view[-128:]))) is not None:
        tail = min(128, len(view)) - named.start()
        call.data = b"".join((view[: len(view) - tail], b"}"))
        view = memoryview(call.data)
    if view[1] == _QUOTE or bytes(view[1:-1]).strip():
        call.stamp = session.caller_suffix
    else:
        call.stamp = session.caller_suffix[1:]  # the object is empty: no comma


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
    return b"_caller_worker_id" in frame or _ESCAPED.search(frame) is not None
