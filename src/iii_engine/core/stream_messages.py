"""What is said on the sockets of streams, in both directions."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import msgspec
from msgspec import Raw, Struct

from iii_sdk.errors import BusError
from iii_sdk.protocol import ErrorBody

_encode = msgspec.json.encode

Change: TypeAlias = Literal["create", "update", "delete"]

UNAUTHORIZED: Final = b'{"type":"unauthorized"}'


class Wanted(Struct, rename="camel", frozen=True):
    """What a client subscribes to: a group, or with `id` one item of it."""

    subscription_id: str
    stream_name: str
    group_id: str
    id: str | None = None


class Left(Struct, rename="camel"):
    """Which subscription ends; what else a client says of it is not needed."""

    subscription_id: str


class Join(Struct, tag_field="type", tag="join"):
    data: Wanted


class Leave(Struct, tag_field="type", tag="leave"):
    data: Left


class Event(Struct, frozen=True, kw_only=True):
    """Something happened to an item, or in a group: `body` says what, as JSON.

    `change` is False for an event that somebody sent and that changed nothing. The trace is that
    of the call that caused it.
    """

    stream: str
    group: str
    item: str | None
    body: bytes
    change: bool = True
    traceparent: str | None = None
    baggage: str | None = None
    timestamp_ms: int = 0

    @property
    def message(self) -> bytes:
        """The event as subscribers and handlers get it."""
        return wrapper(self.timestamp_ms, self.stream, self.group, self.item, self.body)


class _Told(Struct, rename="camel"):
    """An event as subscribers and handlers get it."""

    timestamp: int
    stream_name: str
    group_id: str
    event: Raw
    id: str | None = None


class _Kind(Struct):
    type: str


class Trouble(Struct, rename="camel", omit_defaults=True):
    """Why something that a client said, or joined, does not work. An extension: which join."""

    code: str
    message: str
    subscription_id: str | None = None


class ErrorFrame(Struct, tag_field="type", tag="error"):
    error: Trouble


_decode: Final = msgspec.json.Decoder(Join | Leave).decode


def read(payload: bytes) -> Join | Leave | None:
    """What a client says; None for a blank message. Raises `BusError` (`bad_message`)."""
    try:
        message: Join | Leave = _decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        if not payload.strip():
            return None
        raise BusError(str(error), code="bad_message") from None
    return message


def read_event(
    message: bytes | Raw, traceparent: str | None = None, baggage: str | None = None
) -> Event:
    """The event of a message, as another engine tells it. Raises `msgspec.DecodeError`."""
    told = msgspec.json.decode(message, type=_Told)
    kind = msgspec.json.decode(told.event, type=_Kind).type
    return Event(
        stream=told.stream_name,
        group=told.group_id,
        item=told.id,
        body=bytes(told.event),
        change=kind != "event",
        traceparent=traceparent,
        baggage=baggage,
        timestamp_ms=told.timestamp,
    )


def wrapper(timestamp_ms: int, stream: str, group: str, item: str | None, body: bytes) -> bytes:
    return b'{"type":"stream","timestamp":%d,"streamName":%b,"groupId":%b,"id":%b,"event":%b}' % (
        timestamp_ms,
        _encode(stream),
        _encode(group),
        _encode(item),
        body,
    )


def changed(change: Change, data: bytes) -> bytes:
    """Body of an event: the new value, or the old one of what was deleted."""
    return b'{"type":"%b","data":%b}' % (change.encode(), data)


def sent(kind: str, data: bytes) -> bytes:
    """Body of an event that somebody sent."""
    return b'{"type":"event","event":{"type":%b,"data":%b}}' % (_encode(kind), data)


def sync(data: bytes) -> bytes:
    """Body of the first message of a subscription: an item, or the items of a group."""
    return b'{"type":"sync","data":%b}' % data


def addressed(message: bytes, subscription_ids: list[str]) -> bytes:
    """A message that several subscriptions of one socket share."""
    return b'%b,"subscriptionIds":%b}' % (message[:-1], _encode(subscription_ids))


def trouble(error: ErrorBody | BusError, subscription_id: str | None = None) -> bytes:
    return _encode(ErrorFrame(Trouble(error.code, error.message, subscription_id)))
