"""From the result of a handler to status, header lines and body.

A result is an object with any of `status_code`, `headers`, `body`; anything else is itself the
JSON body. The body is sent as the bytes it came in: only a string with a content type of the
handler's own is unwrapped.
"""

from __future__ import annotations

import logging
import re
from base64 import b64decode
from binascii import Error as Base64Error

import msgspec
from msgspec import Raw, Struct

from iii_sdk.protocol import NULL, tolerant_raw, tolerant_value

log = logging.getLogger("iii.http")

ABSENT = Raw(b"")
JSON_TYPE = b"content-type: application/json\r\n"

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\U0010ffff]*")

#: Headers that say how the message is framed, and when it was sent: they are ours.
FRAMING = frozenset(
    {"content-length", "transfer-encoding", "connection", "keep-alive", "upgrade", "date"}
)


class Envelope(Struct, gc=False):
    """The parts of a handler's answer; nothing in it is decoded."""

    status_code: Raw = ABSENT
    headers: Raw = ABSENT
    body: Raw = ABSENT
    body_base64: Raw = ABSENT
    statusCode: Raw = ABSENT


class Answer(Struct, gc=False):
    """What goes to the client. `head` is complete header lines; `names` are theirs, lower-case."""

    status: int
    head: bytes
    body: Raw | bytes
    names: frozenset[str] = frozenset()


class InvalidStatus(ValueError):
    """A status that cannot be sent."""


_read = msgspec.json.Decoder(Envelope).decode
_NO_CONTENT = Answer(204, b"", b"")
_SPACE = b" \t\r\n"


def read_result(result: Raw) -> Answer:
    """The answer a result stands for. Raises `InvalidStatus`."""
    try:
        envelope = _read(result)
    except msgspec.DecodeError:
        if result == NULL:
            return _NO_CONTENT
        text = memoryview(result)
        if not text:
            return Answer(200, JSON_TYPE, result)
        if text[0] in _SPACE:
            return read_result(Raw(bytes(text).strip(_SPACE)))
        if text[0] != 0x7B:
            return Answer(200, JSON_TYPE, result)
        envelope = _read_tolerantly(result)
    body = envelope.body
    status_code = envelope.status_code or envelope.statusCode
    if not body and not status_code and not envelope.headers and not envelope.body_base64:
        return Answer(200, JSON_TYPE, result)
    status = _status(status_code) if status_code else 200
    head, names = header_lines(bytes(envelope.headers)) if envelope.headers else (b"", frozenset())
    if envelope.body_base64:
        content = _binary(envelope.body_base64)
        if "content-type" not in names:
            head = b"content-type: application/octet-stream\r\n" + head
        return Answer(status, head, content, names)
    if "content-type" not in names:
        return Answer(status, JSON_TYPE + head, body or b"{}", names)
    return Answer(status, head, as_text(body) if body else b"{}", names)


def _read_tolerantly(result: Raw) -> Envelope:
    """For what the strict reader refuses and the bus carries: lone surrogates in strings."""
    value = tolerant_value(bytes(result))
    assert isinstance(value, dict)
    return Envelope(
        **{name: tolerant_raw(value[name]) for name in Envelope.__struct_fields__ if name in value}
    )


def _status(raw: Raw) -> int:
    text = bytes(raw)
    status = _STATUSES.get(text)
    if status is None:
        raise InvalidStatus(text[:80].decode("utf-8", "replace"))
    return status


#: 1xx are never the last word: a client would wait for another answer.
_STATUSES = {b"null": 200} | {b"%d" % status: status for status in range(200, 600)}


def as_text(body: Raw) -> Raw | bytes:
    """A JSON string as its text, null as nothing, anything else as its JSON."""
    if memoryview(body)[0] == 0x22:
        try:
            return msgspec.json.decode(body, type=str).encode()
        except (msgspec.DecodeError, UnicodeError):
            return str(tolerant_value(bytes(body))).encode("utf-8", "replace")
    return b"" if body == NULL else body


def _binary(raw: Raw) -> bytes:
    try:
        return b64decode(msgspec.json.decode(raw, type=str), validate=True)
    except (msgspec.ValidationError, Base64Error, ValueError):
        log.warning("body_base64 of an answer is not base64")
        return b""


_cache: dict[bytes, tuple[bytes, frozenset[str]]] = {}


def header_lines(raw: bytes) -> tuple[bytes, frozenset[str]]:
    """Header lines of `{"name": "value"}` or `["Name: value"]`, and their names.

    Workers send the same few header objects over and over, so they are remembered.
    """
    known = _cache.get(raw)
    if known is None:
        known = _header_lines(raw)
        if len(_cache) >= 512:
            _cache.clear()
        if len(raw) <= 512:
            _cache[raw] = known
    return known


def _header_lines(raw: bytes) -> tuple[bytes, frozenset[str]]:
    lines: list[bytes] = []
    names: set[str] = set()
    for name, value in _pairs(tolerant_value(raw)):
        lower = name.lower()
        if lower in FRAMING:
            continue
        if not isinstance(value, str) or not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
            log.warning("answer header %r skipped: invalid name or value", name[:80])
            continue
        names.add(lower)
        lines.append(f"{lower}: {value.strip()}\r\n".encode("utf-8", "replace"))
    return b"".join(lines), frozenset(names)


def _pairs(value: object) -> list[tuple[str, object]]:
    if isinstance(value, dict):
        return list(value.items())
    pairs: list[tuple[str, object]] = []
    if isinstance(value, list):
        for line in value:
            if isinstance(line, str) and ":" in line:
                name, _, text = line.partition(":")
                pairs.append((name.strip(), text))
    return pairs
