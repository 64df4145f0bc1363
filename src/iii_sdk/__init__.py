"""The worker SDK: declare workers with `Worker`, call functions with `Bus`."""

from __future__ import annotations

from iii_sdk.bindings import (
    Binding,
    bind,
    consume,
    cron,
    http,
    on_log,
    on_state,
    on_stream,
    subscribe,
)
from iii_sdk.bus import Bus
from iii_sdk.call import Call
from iii_sdk.channels import Channel, ChannelReader, ChannelWriter
from iii_sdk.client import connect
from iii_sdk.envelope import HttpRequest
from iii_sdk.errors import (
    BusError,
    Conflict,
    Forbidden,
    InvalidInput,
    NotConfigured,
    NotFound,
    PaymentRequired,
    RateLimited,
    Timeout,
    TooLarge,
    Unauthorized,
    Unavailable,
    UpstreamError,
)
from iii_sdk.program import run
from iii_sdk.protocol import ChannelRef
from iii_sdk.registrations import TypeHandler
from iii_sdk.state import State, Transacted, Updated, Written
from iii_sdk.streams import Event, EventStream, Response
from iii_sdk.worker import Worker

__all__ = [
    "Binding",
    "Bus",
    "BusError",
    "Call",
    "Channel",
    "ChannelReader",
    "ChannelRef",
    "ChannelWriter",
    "Conflict",
    "Event",
    "EventStream",
    "Forbidden",
    "HttpRequest",
    "InvalidInput",
    "NotConfigured",
    "NotFound",
    "PaymentRequired",
    "RateLimited",
    "Response",
    "State",
    "Timeout",
    "TooLarge",
    "Transacted",
    "TypeHandler",
    "Unauthorized",
    "Unavailable",
    "Updated",
    "UpstreamError",
    "Worker",
    "Written",
    "bind",
    "connect",
    "consume",
    "cron",
    "http",
    "on_log",
    "on_state",
    "on_stream",
    "run",
    "subscribe",
]
