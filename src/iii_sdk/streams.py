"""Answers that are more than a value: a full HTTP response, and server-sent events."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

import msgspec

from iii_sdk.codec import encode

#: Largest frame on a data channel, in bytes.
CHUNK: Final = 64 * 1024


class Response:
    """A result with full control over HTTP; on the bus its body is the result.

    A `str` body with a `Content-Type` header is sent as it is, `bytes` are sent as they are,
    anything else as JSON.
    """

    def __init__(
        self, body: object = None, status: int = 200, headers: Mapping[str, str] | None = None
    ) -> None:
        self.body = body
        self.status = status
        self.headers = dict(headers or {})


class Event(msgspec.Struct):
    """A server-sent event with a name or an id."""

    data: Any = None
    event: str | None = None
    id: str | None = None


class EventStream:
    """Server-sent events over HTTP, a list of the items on the bus.

    An item that is a `str` becomes `data: <str>`, an `Event` also says its name, anything else
    becomes `data: <json>`. `done` is one last data line.
    """

    def __init__(
        self,
        items: AsyncIterator[Any],
        *,
        done: str | None = None,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.items = items
        self.done = done
        self.status = status
        self.headers = {"content-type": "text/event-stream; charset=utf-8", **(headers or {})}

    async def collect(self) -> list[Any]:
        """All items; events by their data."""
        return [item.data if isinstance(item, Event) else item async for item in self.items]

    async def close(self) -> None:
        """Tell the source that nobody reads any more."""
        if (close := getattr(self.items, "aclose", None)) is not None:
            await close()


def event_bytes(item: object) -> bytes:
    """One item as a server-sent event."""
    if isinstance(item, Event):
        head = b"" if item.event is None else b"event: %b\n" % _line(item.event)
        if item.id is not None:
            head += b"id: %b\n" % _line(item.id)
        return head + _data(item.data)
    return _data(item)


def _data(value: object) -> bytes:
    if not isinstance(value, str):
        return b"data: %b\n\n" % encode(value)
    lines = value.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return "".join(f"data: {line}\n" for line in lines).encode() + b"\n"


def _line(text: str) -> bytes:
    return text.replace("\r", " ").replace("\n", " ").encode()
