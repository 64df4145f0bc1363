"""Who called: object payloads for workers name the calling worker."""

from __future__ import annotations

import re
from typing import Final

import msgspec
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


class _Named(msgspec.Struct):
    """Tells whether an object has the key, without building what else it has."""

    caller: Raw | msgspec.UnsetType = msgspec.field(name="_caller_worker_id", default=msgspec.UNSET)


_named_decoder: Final = msgspec.json.Decoder(_Named)
_object_decoder: Final = msgspec.json.Decoder(dict[str, Raw])


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
            text = _rewritten(text)
        call.data = text[:-1]
        bare = text[1] != _QUOTE and not text[1:-1].strip()
    else:
        view = memoryview(call.data)
        if view[0] != _OPEN:
            return
        stop = _stop(view)
        call.data = Raw(view[:stop])
        bare = view[1] != _QUOTE and not bytes(view[1:stop]).strip()
    call.ending = session.caller_ending
    if bare:
        call.ending = call.ending[1:]  # the object is empty: no comma


def without_caller(data: Raw | bytes, frame: bytes | None = None) -> Raw | bytes:
    """The payload without a `_caller_worker_id` that the client made up.

    Who has the whole frame gives it, which spares a copy of the payload.
    In a large one that has it elsewhere than at its end, null follows, which readers keep instead:
    to build such an object for one key could take seconds, in which nothing else happens.
    """
    if not _may_name(bytes(data) if frame is None else frame):
        return data
    text = bytes(data)
    if text[0] != _OPEN:
        return data
    if len(text) < SEARCHED:
        return _rewritten(text)
    text = text[: _stop(memoryview(text))] + b"}"
    try:
        named = _named_decoder.decode(text).caller is not msgspec.UNSET
    except (msgspec.DecodeError, UnicodeDecodeError):
        named = True  # for all we know
    return text[:-1] + b',"_caller_worker_id":null}' if named else text


def _rewritten(text: bytes) -> bytes:
    """A small object without the key."""
    try:
        value = _object_decoder.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError):  # of a lenient writer
        tolerant = protocol.tolerant_value(text)
        if not isinstance(tolerant, dict) or "_caller_worker_id" not in tolerant:
            return text
        del tolerant["_caller_worker_id"]
        return bytes(protocol.tolerant_raw(tolerant))
    if "_caller_worker_id" not in value:
        return text
    del value["_caller_worker_id"]
    return msgspec.json.encode(value)


def _stop(view: memoryview) -> int:
    """Where a large object ends without its brace, and without the key where the engine puts it."""
    end, stop = bytes(view[-_AT_END:]), len(view) - 1
    if end.find(_NAME) >= 0 and (named := _NAMED_AT_END.search(end)) is not None:
        stop += 1 + named.start() - len(end)
    return stop


def _may_name(frame: bytes) -> bool:
    """Whether the key may be in it, in whatever spelling."""
    return frame.find(_NAME) >= 0 or (_BACKSLASH in frame and _ESCAPED.search(frame) is not None)
