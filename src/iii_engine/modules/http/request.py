"""One request on its way: a place among others, the call of the handler, the answer.

The common case makes no task: body, answer and disconnect arrive as calls of methods here. Only
middleware and conditions run as a coroutine (`pipeline.py`).
"""

from __future__ import annotations

import logging
from asyncio import TimerHandle
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec
from msgspec import Raw

from iii_engine.core.router import Call
from iii_engine.core.tracing import OwnSpan
from iii_engine.modules.http import failure
from iii_engine.modules.http.flat import flat_payload
from iii_engine.modules.http.handler_channels import HandlerChannels
from iii_engine.modules.http.payload import (
    EMPTY,
    NO_QUERY,
    NOTHING_RAW,
    method_field,
    read_params,
    read_query,
)
from iii_engine.modules.http.request_body import RequestBody
from iii_engine.modules.http.result import JSON_TYPE, Answer, InvalidStatus, read_result
from iii_engine.modules.http.routes import Route
from iii_engine.modules.http.streaming import ResponseStream
from iii_engine.net.http_exchange import Exchange
from iii_sdk.protocol import NULL, ErrorBody

if TYPE_CHECKING:
    from iii_engine.modules.http.gateway import Gateway

log = logging.getLogger("iii.http")

_encode = msgspec.json.encode

#: How long a response channel may stay open after its handler failed, in seconds.
FAILED_STREAM_SECONDS = 5.0

#: How long a null result waits for a writer that is still connecting, in seconds.
LATE_WRITER_SECONDS = 0.25


class Request:
    """A matched request. `id` names it to the client; its channels have ids derived from it."""

    def __init__(
        self, gateway: Gateway, exchange: Exchange, route: Route, values: list[str], path: str
    ) -> None:
        self.gateway = gateway
        self.exchange = exchange
        self.route = route
        self.path = path
        self.started = gateway.time()
        self.client = client = gateway.client_of(exchange)
        name = route.span_name
        if exchange.method != route.method:
            name = f"{exchange.method} {route.label}".rstrip()
        self.span = OwnSpan(gateway.tracing, name, "server", client.head.traceparent)
        self.channel_id = channel_id = gateway.new_id()
        self.id = client.head.request_id or channel_id
        #: Of a body that was read whole: what it is as JSON, and the fields with its exact bytes.
        self.body = NULL
        self.raw = NOTHING_RAW if route.raw_body else b""
        self.context = EMPTY  # what middleware contributed, as JSON
        self.params = read_params(route, values) if values else EMPTY
        self.query = NO_QUERY
        self.dispatched = False  # the handler has been called
        self.call_answered = False  # that call has ended
        self._waited = False  # for its place
        self._placed = False  # it counts against the concurrency limit
        self._offered: HandlerChannels | None = None
        self._reading: RequestBody | None = None
        self._timer: TimerHandle | None = None
        self._call: Call | None = None

    # -- a place among the concurrent requests ---------------------------------------------------

    def wait(self) -> None:
        """There is none; `start` will be called."""
        self._waited = True
        self.exchange.on_close = self._withdraw

    def start(self) -> None:
        """There is one."""
        self._placed = True
        exchange = self.exchange
        if self._waited and not self._is_wanted():
            return
        if "?" in exchange.target:
            try:
                self.query = read_query(exchange.target.partition("?")[2])
            except ValueError:
                self.refuse(400, failure.body_of("Too many query fields"))
                return
        exchange.on_close = self._client_gone
        if self.gateway.middleware or not self.route.plain:
            self.gateway.run_pipeline(self)
        elif exchange.has_body:
            self.read_body(self._go_on)
        else:
            self.dispatch()

    def _is_wanted(self) -> bool:
        """Whether a handler that starts only now would work for somebody."""
        if self.exchange.closed:
            self.release()
            self._record()
            return False
        if self.gateway.time() - self.started >= self.gateway.options.default_timeout / 1000:
            self.refuse(504, failure.body_of("Gateway Timeout"))
            return False
        return True

    def _withdraw(self) -> None:
        """The client has gone before there was a place."""
        self.gateway.admission.withdraw(self)
        self._record()

    def resume(self) -> bool:
        """It gave its place away and has one again; False when nobody waits for it."""
        self._placed = True
        if self.exchange.closed:
            self.release()
            return False
        return True

    def release(self) -> None:
        """Give the place to the next request, once."""
        if self._placed:
            self._placed = False
            self.gateway.admission.free()

    def remaining_ms(self) -> int:
        """What is left of the time until the response headers; at least 1."""
        passed = int((self.gateway.time() - self.started) * 1000)
        left = self.gateway.options.default_timeout - passed
        return left if left > 0 else 1

    # -- calling the handler ---------------------------------------------------------------------

    def read_body(self, then: Callable[[bool], None]) -> None:
        """Call `then(True)` when the handler may be called, `then(False)` when nobody waits."""
        if self.exchange.has_body:
            self._reading = RequestBody(self, then)
            self._reading.read()
            return
        then(True)

    def _go_on(self, ready: bool) -> None:
        if ready:
            self.dispatch()
        else:
            self.done()

    def dispatch(self) -> None:
        """Call the handler."""
        if self.exchange.closed:
            self.done()
            return
        if self.route.flat:
            try:
                payload = self._flat_payload()
            except msgspec.DecodeError:
                self.refuse(400, failure.body_of("Invalid JSON body"))
                return
        else:
            payload = self.payload(self.channels.offer())
        self.dispatched = True
        self._call = self.gateway.engine.call(
            self.route.function_id,
            payload,
            self._answered,
            timeout_ms=self.remaining_ms(),
            span=self.span,
            baggage=self.client.head.baggage,
        )

    def payload(self, end: bytes) -> bytes:
        """What a handler gets. The condition gets it too, without the channels of the end."""
        client = self.client
        return b"".join(
            (
                self.route.prefix,
                self.params,
                method_field(self.exchange.method),
                self.query.fields,
                _encode(self.path),
                client.fields,
                client.end_of_headers(self.id),
                b',"context":',
                self.context,
                b',"body":',
                self.body,
                self.raw,
                end,
            )
        )

    def _flat_payload(self) -> bytes:
        return flat_payload(
            self.query.last,
            self.body,
            self.params,
            self.raw,
            method=self.exchange.method,
            path=self.path,
            headers=self.client.headers_json(self.id),
        )

    # -- channels --------------------------------------------------------------------------------

    @property
    def channels(self) -> HandlerChannels:
        """What the handler may read the body from and write its answer to."""
        if self._offered is None:
            self._offered = HandlerChannels(self)
        return self._offered

    def stream_connected(self, stream: ResponseStream) -> None:
        """The handler is about to write its answer."""
        if self.call_answered:
            self._await_stream(stream)

    def stream_lost(self) -> None:
        """The handler's end of the channel broke before the first byte. The end of its call
        decides; after that only this is left to tell."""
        if self.call_answered:
            self._fail(failure.STOPPED)

    def _await_stream(self, stream: ResponseStream) -> None:
        """The function has ended; the client waits for what it streams."""
        if self._timer is not None:
            self._timer.cancel()
        delay = self.remaining_ms() / 1000
        self._timer = self.gateway.loop.call_later(delay, self._stream_timeout, stream)

    def _stream_timeout(self, stream: ResponseStream) -> None:
        if not stream.begun:
            self.refuse(504, failure.body_of("Gateway Timeout"))

    # -- answer ----------------------------------------------------------------------------------

    def _answered(self, result: Raw, error: ErrorBody | None) -> None:
        self.call_answered = True
        stream = None if self._offered is None else self._offered.stream
        if self.exchange.closed:
            self.done()
        elif stream is not None:
            self._answered_beside(stream, result, error)
        elif error is not None:
            self._fail(error)
        elif result == NULL and self._may_connect_late():
            self._timer = self.gateway.loop.call_later(
                LATE_WRITER_SECONDS, self.send_result, result
            )
        else:
            self.send_result(result)

    def _answered_beside(
        self, stream: ResponseStream, result: Raw, error: ErrorBody | None
    ) -> None:
        """The function ended, and its writer is connected or was."""
        if stream.begun:
            if error is not None and error.code != "timeout":
                self._failed_midway(stream, error)
        elif error is not None:
            self._fail(error)
        elif result != NULL or not stream.channel.has_writer:
            self.send_result(result)
        elif stream.failed:
            self._fail(failure.STOPPED)
        elif stream.ended:
            stream.respond()
        else:
            self._await_stream(stream)

    def _may_connect_late(self) -> bool:
        """Python clients connect their writer before they return; others do so meanwhile."""
        callee = self._call.callee if self._call is not None and self._offered else None
        return callee is not None and callee.metadata.runtime != "python"

    def send_result(self, result: Raw) -> None:
        """Answer with what a function returned."""
        try:
            answer = read_result(result)
        except InvalidStatus as invalid:
            error_id = self.gateway.error_id()
            log.error(
                "function %s returned the status_code %s, which is no status (error_id %s)",
                self.route.function_id,
                invalid,
                error_id,
            )
            body = failure.body_of("invalid_status", error_id=error_id)
            answer = self._error(500, body)
        self._send(answer)

    def refuse(self, status: int, body: bytes, head: bytes = b"") -> None:
        """Answer without the handler."""
        reading = self._reading
        self._send(self._error(status, body, head))
        if reading is not None:
            reading.give_up()

    def _error(self, status: int, body: bytes, head: bytes = b"") -> Answer:
        """An error of ours, in the form that the route wants."""
        form = self.route.error_format
        return Answer(status, JSON_TYPE + head, failure.formed(body, status, form))

    def _send(self, answer: Answer) -> None:
        head = answer.head + self.client.answer_lines(self.id, answer.names)
        self.exchange.respond(answer.status, head, answer.body)
        self.done()

    def answer_lines(self, names: frozenset[str]) -> bytes:
        """Header lines that every answer has, unless `names` has them."""
        return self.client.answer_lines(self.id, names)

    def _fail(self, error: ErrorBody) -> None:
        if error.code == "timeout":
            self.refuse(504, failure.body_of("Gateway Timeout"))
            return
        if error.code in failure.GONE_FOR_NOW:
            body = self.logged(self.route.function_id, error)
            self._send(self._error(503, body, failure.RETRY_SOON))
            return
        status = failure.flat_status(error.code) if self.route.flat else 500
        if status < 500:
            self.refuse(status, failure.body_of(error.message, code=error.code))
        else:
            self.refuse(status, self.logged(self.route.function_id, error))

    def logged(self, function_id: str, error: ErrorBody) -> bytes:
        """Log that a function failed; returns the body for the client."""
        return failure.logged(self.exchange, function_id, error, self.gateway.error_id())

    def _failed_midway(self, stream: ResponseStream, error: ErrorBody) -> None:
        """The status is out: all that is left is to let the client see a broken answer."""
        self.logged(self.route.function_id, error)
        stream.failed = True
        self._timer = self.gateway.loop.call_later(FAILED_STREAM_SECONDS, self.exchange.abort)

    # -- end -------------------------------------------------------------------------------------

    def _client_gone(self) -> None:
        """The handler goes on, its result is dropped; what it streams to or from is closed."""
        if self._offered is not None:
            self._offered.cut()
        reading = self._reading
        self._record()
        self._forget()
        if self.dispatched and not self.call_answered:
            return  # the place is free when the handler is done
        self.release()
        if reading is not None:
            reading.give_up()

    def done(self) -> None:
        """It has its answer, or needs none."""
        self.release()
        self._record()
        if self._offered is not None:
            self._offered.finish()
        self._forget()

    def _forget(self) -> None:
        """Its parts know it: without that, each request would be left to the garbage collector."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._reading is not None:
            self._reading.forget()
        self._reading = self._offered = None

    def _record(self) -> None:
        if self.span.ended_ns == 0:
            self.gateway.record(self)
