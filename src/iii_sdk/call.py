"""The call a handler is working on."""

from __future__ import annotations

from time import time_ns
from typing import TYPE_CHECKING, Any, Final

import msgspec

from iii_sdk.codec import decoder
from iii_sdk.protocol import InvokeFunction
from iii_sdk.telemetry.spans import CallSpan, Exportable, Span, call_span, sampled

if TYPE_CHECKING:
    from iii_sdk.envelope import HttpRequest


class _Caller(msgspec.Struct):
    caller: str | None = msgspec.field(default=None, name="_caller_worker_id")


_caller_decoder: Final = msgspec.json.Decoder(_Caller)


class Call:
    """Who called what. `http` is the request when the call came through an HTTP route.

    `traceparent` and `baggage` are passed on to every call made while this one is handled.
    """

    __slots__ = ("_message", "_span", "_started_ns", "baggage", "function_id", "http")

    def __init__(self, message: InvokeFunction) -> None:
        self._message = message
        self._span: Span | None = None
        self._started_ns = 0
        self.function_id = message.function_id
        self.baggage = message.baggage
        self.http: HttpRequest | None = None

    def begin(self) -> None:
        """Record this call, unless nobody wants the spans of its trace."""
        if sampled(self._message.traceparent):
            self._started_ns = time_ns()

    def end(self, error: str | None = None) -> Exportable | None:
        """What is to be told of the call, which is over; with an error it failed."""
        if not self._started_ns:
            return None
        if self._span is None:
            return CallSpan(
                self.function_id, self._message.traceparent, self._started_ns, time_ns(), error
            )
        self._span.end(error)
        return self._span

    @property
    def span(self) -> Span | None:
        """The span of this call, for attributes and events; None when nobody records it."""
        if self._span is None and self._started_ns:
            self._span = call_span(self.function_id, self._message.traceparent, self._started_ns)
        return self._span

    @property
    def traceparent(self) -> str | None:
        """Its own span's, or what came with it when nobody records it."""
        span = self.span
        return self._message.traceparent if span is None else span.traceparent

    @property
    def caller(self) -> str | None:
        """The id of the worker that called; None for triggers and payloads that are no object."""
        if self.http is not None:
            return None
        try:
            return _caller_decoder.decode(self._message.data).caller
        except msgspec.DecodeError:
            return None

    @property
    def metadata(self) -> Any:
        """What the caller or the trigger attached, as plain JSON values."""
        return decoder(None)(self._message.metadata)
