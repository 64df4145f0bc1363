"""The bus as a worker sees it."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar, overload

import msgspec
from msgspec import Raw

from iii_sdk import frames
from iii_sdk.bindings import Binding
from iii_sdk.call import Call
from iii_sdk.channels import Channel, ChannelReader, ChannelRefs, ChannelWriter
from iii_sdk.codec import dump, read_result
from iii_sdk.connection import Connection
from iii_sdk.current_call import active, inside
from iii_sdk.protocol import NULL, ChannelRef, JobOptions, RegisterTrigger
from iii_sdk.state import State
from iii_sdk.stream_items import StreamItems
from iii_sdk.telemetry.spans import Span, sampled
from iii_sdk.traceparent import parse_traceparent

T = TypeVar("T")

#: Seconds a call waits for its answer unless told otherwise.
TIMEOUT = 30.0


class Receipt(msgspec.Struct, rename="camel"):
    """What an enqueued call returns."""

    message_receipt_id: str


class Bus:
    """Calls of functions, state, streams, channels and the log. Use it on the event loop only.

    Calls made while a handler runs carry the trace context of its call.
    """

    def __init__(self, connection: Connection, name: str) -> None:
        self.connection = connection
        self.name = name
        self.state = State(self.call)
        self.stream = StreamItems(self.call)
        self.log = Log(self)

    @property
    def worker_id(self) -> str | None:
        """The engine's id of this connection; None before the first one."""
        return self.connection.worker_id

    @overload
    async def call(
        self, function_id: str, data: object = None, *, timeout: float | None = TIMEOUT
    ) -> Any: ...
    @overload
    async def call(
        self,
        function_id: str,
        data: object = None,
        *,
        kind: type[T],
        timeout: float | None = TIMEOUT,
    ) -> T: ...
    @overload
    async def call(
        self, function_id: str, data: object = None, *, kind: Any, timeout: float | None = TIMEOUT
    ) -> Any: ...

    async def call(
        self,
        function_id: str,
        data: object = None,
        *,
        kind: Any = None,
        timeout: float | None = TIMEOUT,
    ) -> Any:
        """Call a function and return its result as `kind` (default: plain JSON values).

        `timeout` is in seconds; None waits for ever. Raises the `BusError` the callee answered
        with, `Timeout`, `Unavailable` when the connection is lost meanwhile, `serialization_error`
        when `data` cannot be written as JSON.
        """
        result = await self.connection.request(function_id, dump(data), timeout)
        return read_result(result, kind, function_id)

    def send(self, function_id: str, data: object = None) -> None:
        """Call without an answer. Never raises for the state of the connection."""
        self.connection.send(function_id, dump(data))

    async def enqueue(
        self,
        queue: str,
        function_id: str,
        data: object = None,
        *,
        options: JobOptions | None = None,
    ) -> str:
        """Put a call on a named queue and return the id of its receipt.

        Raises `BusError` with code `enqueue_error`. Engines of others ignore the `options`.
        """
        result = await self.connection.request(
            function_id, dump(data), TIMEOUT, frames.enqueue_action(queue, options)
        )
        receipt: Receipt = read_result(result, Receipt, function_id)
        return receipt.message_receipt_id

    async def heartbeat(self, call: Call, *, visibility_timeout_ms: int | None = None) -> bool:
        """Say that the job of this call is still worked on, so that its lease does not end.

        False when it has ended: somebody else has the job by now, and this result will not count.
        """
        lease = (call.metadata or {}).get("iii_queue")
        if lease is None:
            return True  # it has none that could end
        renewed = await self.call(
            "iii::queue::heartbeat",
            {
                "queue": lease["queue"],
                "message_id": lease["message_id"],
                "token": lease["token"],
                "visibility_timeout_ms": visibility_timeout_ms,
            },
        )
        return bool(renewed["renewed"])

    def publish(self, topic: str, data: object = None) -> None:
        """Tell every subscriber of a topic; at most once, nobody waits."""
        self.send("publish", {"topic": topic, "data": data})

    def bind(self, function_id: str, binding: Binding) -> str:
        """Have an event call a function from now on, and return the trigger's id.

        For bindings that come and go; those of a whole life belong to the function's declaration.
        """
        trigger = RegisterTrigger(
            str(uuid.uuid4()),
            binding.trigger_type,
            function_id,
            Raw(dump(binding.config)),
            NULL if binding.metadata is None else Raw(dump(binding.metadata)),
        )
        self.connection.registrations.add_trigger(trigger)
        return trigger.id

    def unbind(self, trigger_id: str) -> None:
        """Undo `bind`. Unknown ids are ignored."""
        self.connection.registrations.remove_trigger(trigger_id)

    @property
    def epoch(self) -> int:
        """Grows with every new connection; events are lost between two of them."""
        return self.connection.epoch

    @contextmanager
    def span(self, name: str, **attributes: object) -> Iterator[Span]:
        """Record what the block does as a span; calls made in it are its children.

        An exception that leaves the block is the span's error.
        """
        parent = active()
        span = Span(name, None if parent is None else parent.traceparent)
        span.baggage = None if parent is None else parent.baggage
        span.attributes = attributes or None
        exporter = self.connection.telemetry
        with inside(span):
            try:
                yield span
            except BaseException as error:
                span.caught(error)
                span.end(f"{type(error).__name__}: {error}")
                raise
            else:
                span.end()
            finally:
                if exporter is not None and sampled(span.traceparent):
                    exporter.span(span)

    async def channel(self, buffer_size: int = 64) -> Channel:
        """Create a data channel. `buffer_size` is in frames, 1 to 1024."""
        refs = await self.call(
            "engine::channels::create", {"buffer_size": buffer_size}, kind=ChannelRefs
        )
        return Channel(self.connection.endpoint, refs)

    async def open_writer(self, ref: ChannelRef) -> ChannelWriter:
        """Open the writing end somebody handed over. Raises `Unavailable`."""
        writer = ChannelWriter(self.connection.endpoint, ref)
        await writer.open()
        return writer

    async def open_reader(self, ref: ChannelRef) -> ChannelReader:
        """Open the reading end somebody handed over. Raises `Unavailable`."""
        reader = ChannelReader(self.connection.endpoint, ref)
        await reader.open()
        return reader


class Log:
    """The log of the system, and this process's own log beside it."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._local = logging.getLogger(f"iii.worker.{bus.name}")

    def debug(self, message: str, **data: object) -> None:
        self._write(logging.DEBUG, "debug", message, data)

    def info(self, message: str, **data: object) -> None:
        self._write(logging.INFO, "info", message, data)

    def warn(self, message: str, **data: object) -> None:
        self._write(logging.WARNING, "warn", message, data)

    warning = warn

    def error(self, message: str, **data: object) -> None:
        self._write(logging.ERROR, "error", message, data)

    def _write(self, level: int, name: str, message: str, data: dict[str, object]) -> None:
        self._local.log(
            level, "%s %s" if data else "%s", *((message, data) if data else (message,))
        )
        record: dict[str, object] = {"message": message, "service_name": self._bus.name}
        if data:
            record["data"] = data
        call = active()
        trace = (
            None
            if call is None or call.traceparent is None
            else parse_traceparent(call.traceparent)
        )
        if trace is not None:
            record["trace_id"], record["span_id"] = trace
        self._bus.send(f"engine::log::{name}", record)
