"""The worker SDK: declare workers with `Worker`, call functions with `Bus`.

The published forms (`III`, `register_worker` and their models) come from `iii_sdk.compat`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
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
    from iii_sdk.compat import (
        III,
        ApiRequest,
        ApiResponse,
        HttpInvocationConfig,
        IIIForbiddenError,
        IIIInvocationError,
        IIITimeoutError,
        InitOptions,
        InvocationError,
        IStream,
        Logger,
        OtelConfig,
        ReconnectionConfig,
        RegisterServiceInput,
        RegisterTriggerInput,
        RegisterTriggerTypeInput,
        TelemetryOptions,
        TriggerAction,
        TriggerConfig,
        TriggerHandler,
        TriggerRequest,
        register_worker,
    )
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
    from iii_sdk.protocol import ChannelRef, HttpAuth, HttpInvocation, JobOptions
    from iii_sdk.registrations import TypeHandler
    from iii_sdk.state import State, Transacted, Updated, Written
    from iii_sdk.stream_items import StreamItems, StreamStore
    from iii_sdk.streams import Event, EventStream, Response
    from iii_sdk.worker import Worker

#: Where each name lives; what is not named here is one of the published forms.
_HOMES: Final = {
    "Binding": "bindings",
    "bind": "bindings",
    "consume": "bindings",
    "cron": "bindings",
    "http": "bindings",
    "on_log": "bindings",
    "on_state": "bindings",
    "on_stream": "bindings",
    "subscribe": "bindings",
    "Bus": "bus",
    "Call": "call",
    "Channel": "channels",
    "ChannelReader": "channels",
    "ChannelWriter": "channels",
    "connect": "client",
    "HttpRequest": "envelope",
    "BusError": "errors",
    "Conflict": "errors",
    "Forbidden": "errors",
    "InvalidInput": "errors",
    "NotConfigured": "errors",
    "NotFound": "errors",
    "PaymentRequired": "errors",
    "RateLimited": "errors",
    "Timeout": "errors",
    "TooLarge": "errors",
    "Unauthorized": "errors",
    "Unavailable": "errors",
    "UpstreamError": "errors",
    "run": "program",
    "ChannelRef": "protocol",
    "HttpAuth": "protocol",
    "HttpInvocation": "protocol",
    "JobOptions": "protocol",
    "TypeHandler": "registrations",
    "State": "state",
    "Transacted": "state",
    "Updated": "state",
    "Written": "state",
    "StreamItems": "stream_items",
    "StreamStore": "stream_items",
    "Event": "streams",
    "EventStream": "streams",
    "Response": "streams",
    "Worker": "worker",
}

__all__ = [
    "III",
    "ApiRequest",
    "ApiResponse",
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
    "HttpAuth",
    "HttpInvocation",
    "HttpInvocationConfig",
    "HttpRequest",
    "IIIForbiddenError",
    "IIIInvocationError",
    "IIITimeoutError",
    "IStream",
    "InitOptions",
    "InvalidInput",
    "InvocationError",
    "JobOptions",
    "Logger",
    "NotConfigured",
    "NotFound",
    "OtelConfig",
    "PaymentRequired",
    "RateLimited",
    "ReconnectionConfig",
    "RegisterServiceInput",
    "RegisterTriggerInput",
    "RegisterTriggerTypeInput",
    "Response",
    "State",
    "StreamItems",
    "StreamStore",
    "TelemetryOptions",
    "Timeout",
    "TooLarge",
    "Transacted",
    "TriggerAction",
    "TriggerConfig",
    "TriggerHandler",
    "TriggerRequest",
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
    "register_worker",
    "run",
    "subscribe",
]


def __getattr__(name: str) -> Any:
    """A name is loaded when it is used first: the engine needs two of these modules, not all."""
    if name.startswith("_") or name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"iii_sdk.{_HOMES.get(name, 'compat')}"), name)
    globals()[name] = value
    return value
