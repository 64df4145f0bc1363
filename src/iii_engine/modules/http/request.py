"""One request on its way: body, call of the handler, answer.

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

from iii_engine.core.channel import Channel
from iii_engine.core.router import Call
from iii_engine.modules.http import failure
from iii_engine.modules.http.flat import flat_payload
from iii_engine.modules.http.late_body import LateBody
from iii_engine.modules.http.payload import (
    EMPTY,
    NO_QUERY,
    Query,
    channel_fields,
    is_json_type,
    raw_fields,
    read_json,
    read_params,
    read_query,
)
from iii_engine.modules.http.result import (
    JSON_TYPE,
    Answer,
    InvalidStatus,
    read_result,
)
from iii_engine.modules.http.routes import Route
from iii_engine.modules.http.span import RequestSpan
from iii_engine.modules.http.streaming import BodyFeed, ResponseStream
from iii_engine.net.http_exchange import Exchange
from iii_sdk.protocol import NULL, ErrorBody

if TYPE_CHECKING:
    from iii_engine.modules.http.gateway import Gateway

log = logging.getLogger("iii.http")

_encode = msgspec.json.encode

#: How long a response channel may stay open after its handler failed, in seconds.
FAILED_STREAM_SECONDS = 5.0

#: The program of the handler went away.
STOPPED = ErrorBody("invocation_stopped", "Invocation stopped")
#: Who would answer is lost, and mostly back soon.
GONE_FOR_NOW = (STOPPED.code, "engine_unreachable")

#: How long a null result waits for a writer that is still connecting, in seconds.
LATE_WRITER_SECONDS = 0.25


class Request:
    """A matched request. `id` names it to the client; its channels have ids derived from it."""

    body: Raw = NULL
    #: What middleware contributed, as JSON.
    context: bytes = EMPTY
    params: bytes = EMPTY
    query: Query = NO_QUERY
    #: The handler has been called.
    dispatched: bool = False
    #: The call of the handler has ended.
    call_answered: bool = False

    # The defaults live on the class, so that a request only pays for what it uses.
    _slot: bool = False  # it counts against the concurrency limit
    _raw: bytes = b""
    _then: Callable[[bool], None] | None = None
    _timer: TimerHandle | None = None
    _late: LateBody | None = None
    _body_id: str = ""
    _write_key: str = ""
    _read_key: str = ""
    _body_channel: Channel | None = None
    _stream: ResponseStream | None = None
    _call: Call | None = None

    def __init__(
        self, gateway: Gateway, exchange: Exchange, route: Route, values: list[str], path: str
    ) -> None:
        self.gateway = gateway
        self.exchange = exchange
        self.route = route
        self.path = path
        self.started = gateway.time()
        self.head, self.client = gateway.client_of(exchange)
        self.span = RequestSpan(gateway.tracing, route, exchange.method, self.head.traceparent)
        self.channel_id = channel_id = gateway.new_id()
        self.id = self.head.request_id or channel_id
        if values:
            self.params = read_params(route, values)

    def start(self) -> None:
        """A place among the concurrent requests is free."""
        self._slot = True
        exchange = self.exchange
        if exchange.closed:
            self.release()
            self.gateway.record(self)
            return
        if self.gateway.time() - self.started >= self.gateway.options.default_timeout / 1000:
            # It waited too long for its place; a handler could only work for nobody.
            self.refuse(504, failure.body_of("Gateway Timeout"))
            return
        if "?" in exchange.target:
            try:
                self.query = read_query(exchange.target.partition("?")[2])
            except ValueError:
                self.refuse(400, failure.body_of("Too many query fields"))
                return
        exchange.on_close = self._client_gone
        if self.route.plain and not self.gateway.middleware:
            self.read_body(self.dispatch)
        else:
            self.gateway.run_pipeline(self)

    def withdraw(self) -> None:
        """The client has gone before there was a place."""
        self.gateway.admission.withdraw(self)
        self.gateway.record(self)

    def release(self) -> None:
        """Give the place to the next request, once."""
        if self._slot:
            self._slot = False
            self.gateway.admission.free()

    def remaining_ms(self) -> int:
        """What is left of the time until the response headers; at least 1."""
        passed = int((self.gateway.time() - self.started) * 1000)
        return max(1, self.gateway.options.default_timeout - passed)

    # -- body ------------------------------------------------------------------------------------

    def read_body(self, then: Callable[[bool], None]) -> None:
        """Call `then(True)` when the handler may be called, `then(False)` when nobody waits."""
        exchange = self.exchange
        if not exchange.has_body:
            if self.route.raw_body:
                self._raw = raw_fields(b"", True)
            then(True)
            return
        self._then = then
        if is_json_type(exchange.content_type) or self.route.raw_body or self.route.flat:
            exchange.collect(self.gateway.options.body_limit, self._collected, self._too_large)
            if self._then is not None and not exchange.complete:
                self._late = LateBody(self)
        else:
            self._make_channel_ids()
            self._body_channel = channel = self.gateway.channels.open(
                self._body_id, "", self._read_key
            )
            exchange.stream(BodyFeed(exchange, channel))
            self._go_on(True)

    def _go_on(self, ready: bool) -> None:
        then, self._then = self._then, None
        if then is not None:
            then(ready)

    def _collected(self, body: bytes) -> None:
        if self._late is not None:
            self._late.complete(body)
        else:
            self._use(body)

    def resume(self, body: bytes) -> None:
        """The body was late; it is there, and there is a place again."""
        self._slot = True
        if self.exchange.closed:
            self.release()
        else:
            self._use(body)

    def _use(self, body: bytes) -> None:
        is_json = is_json_type(self.exchange.content_type)
        if is_json:
            try:
                self.body = read_json(body)
            except ValueError:
                error_id = self.gateway.error_id()
                self.refuse(400, failure.body_of("Invalid JSON body", error_id=error_id))
                return
        elif not self.route.flat:
            self._make_channel_ids()
            channel = self.gateway.channels.open(self._body_id, "", self._read_key)
            self._body_channel = channel
            feed = BodyFeed(self.exchange, channel)
            feed.on_body(body)
            feed.on_body_end()
        if self.route.raw_body:
            self._raw = raw_fields(body, is_json)
        self._go_on(True)

    def _too_large(self) -> None:
        self.refuse(413, failure.body_of("Payload Too Large"))

    # -- calling the handler ---------------------------------------------------------------------

    def payload(self) -> bytes:
        """The request as the condition sees it, without its closing brace."""
        query = self.query
        method = self.exchange.method
        if not query.text:
            middle = (
                f',"method":"{method}","query_params":{{}},"query_params_multi":{{}},'
                f'"query_string":"","raw_path":'
            ).encode()
        else:
            middle = b"".join(
                (
                    f',"method":"{method}","query_params":'.encode(),
                    query.last,
                    b',"query_params_multi":',
                    query.all,
                    b',"query_string":',
                    _encode(query.text),
                    b',"raw_path":',
                )
            )
        return b"".join(
            (
                self.route.prefix,
                self.params,
                middle,
                _encode(self.path),
                self.client,
                self.headers_json(),
                b',"context":',
                self.context,
                b',"body":',
                self.body,
                self._raw,
            )
        )

    def headers_json(self) -> bytes:
        """The headers as the handler sees them, with the request id."""
        head = self.head
        if head.request_id is not None:
            return head.json + b"}"
        comma = b"," if len(head.json) > 1 else b""
        return head.json + comma + self.gateway.request_id_json % self.id.encode()

    def dispatch(self, ready: bool) -> None:
        """Call the handler."""
        if not ready or self.exchange.closed:
            self._done()
            return
        route, gateway = self.route, self.gateway
        if route.flat:
            try:
                payload = flat_payload(
                    self.query.last,
                    self.body,
                    self.params,
                    method=self.exchange.method,
                    path=self.path,
                    headers=self.headers_json(),
                )
            except msgspec.DecodeError:
                self.refuse(400, failure.body_of("Invalid JSON body"))
                return
        else:
            self._make_channel_ids()
            claims = gateway.channels
            claims.claim(self.channel_id, self)
            if self._body_channel is None:
                claims.claim(self._body_id, self)
            payload = self.payload() + channel_fields(
                self._body_id, self._read_key, self.channel_id, self._write_key
            )
        head = self.head
        self.dispatched = True
        self._call = gateway.engine.call(
            route.function_id,
            payload,
            self._answered,
            timeout_ms=self.remaining_ms(),
            traceparent=self.span.traceparent,
            baggage=head.baggage,
        )

    # -- channels --------------------------------------------------------------------------------

    def _make_channel_ids(self) -> None:
        if self._body_id:
            return
        response = self.channel_id
        self._body_id = f"{response[:19]}b{response[20:]}"
        keys = self.gateway.engine.ids.secret_uuid
        self._read_key, self._write_key = keys(), keys()

    def open_channel(self, channel_id: str) -> Channel:
        """A handler connects to one of the two channels (called by the channel table)."""
        channels = self.gateway.channels
        if channel_id == self._body_id:
            self._body_channel = channel = channels.open(channel_id, "", self._read_key)
            channel.finish()
            return channel
        channel = channels.open(channel_id, self._write_key, "")
        self._stream = ResponseStream(
            self.exchange,
            channel,
            self._common_head,
            on_begin=self.release,
            on_end=self._done,
            on_lost=self._stream_lost,
        )
        if self.call_answered:
            self._await_stream(self._stream)
        return channel

    # -- answer ----------------------------------------------------------------------------------

    def _answered(self, result: Raw, error: ErrorBody | None) -> None:
        self.call_answered = True
        stream = self._stream
        if self.exchange.closed:
            self._done()
        elif stream is not None and stream.begun:
            if error is not None and error.code != "timeout":
                self._failed_midway(stream, error)
        elif error is not None:
            self._fail(error)
        elif stream is not None and result == NULL and stream.channel.has_writer:
            if stream.failed:
                self._fail(STOPPED)
            elif stream.ended:
                stream.respond()
            else:
                self._await_stream(stream)
        elif result == NULL and stream is None and self._may_connect_late():
            self._timer = self.gateway.loop.call_later(
                LATE_WRITER_SECONDS, self.send_result, result
            )
        else:
            self.send_result(result)

    def _await_stream(self, stream: ResponseStream) -> None:
        """The function has ended; the client waits for what it streams."""
        if self._timer is not None:
            self._timer.cancel()
        delay = self.remaining_ms() / 1000
        self._timer = self.gateway.loop.call_later(delay, self._stream_timeout, stream)

    def _may_connect_late(self) -> bool:
        """Python clients connect their writer before they return; others do so meanwhile."""
        callee = self._call.callee if self._call is not None and self._body_id else None
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
        self.send(answer)

    def send(self, answer: Answer) -> None:
        head = answer.head + self._common_head(answer.names)
        self.exchange.respond(answer.status, head, memoryview(answer.body))
        self._done()

    def refuse(self, status: int, body: bytes, head: bytes = b"") -> None:
        """Answer without the handler."""
        self.send(self._error(status, body, head))
        self._go_on(False)

    def _error(self, status: int, body: bytes, head: bytes = b"") -> Answer:
        """An error of ours, in the form that the route wants."""
        form = self.route.error_format
        return Answer(status, JSON_TYPE + head, failure.formed(body, status, form))

    def _common_head(self, names: frozenset[str]) -> bytes:
        return self.gateway.common_head(self.id, self.head, names)

    def _fail(self, error: ErrorBody) -> None:
        if error.code == "timeout":
            self.refuse(504, failure.body_of("Gateway Timeout"))
            return
        if error.code in GONE_FOR_NOW:
            body = self.logged(self.route.function_id, error)
            self.send(self._error(503, body, failure.RETRY_SOON))
            return
        status = failure.flat_status(error.code) if self.route.flat else 500
        if status < 500:
            self.refuse(status, failure.body_of(error.message, code=error.code))
        else:
            self.refuse(status, self.logged(self.route.function_id, error))

    def logged(self, function_id: str, error: ErrorBody) -> bytes:
        return failure.logged(self.exchange, function_id, error, self.gateway.error_id())

    def _failed_midway(self, stream: ResponseStream, error: ErrorBody) -> None:
        """The status is out: all that is left is to let the client see a broken answer."""
        self.logged(self.route.function_id, error)
        stream.failed = True
        self._timer = self.gateway.loop.call_later(FAILED_STREAM_SECONDS, self.exchange.abort)

    def _stream_lost(self) -> None:
        """The handler's end of the channel broke before the first byte. The end of its call
        decides; after that only this is left to tell."""
        if self.call_answered:
            self._fail(STOPPED)

    def _stream_timeout(self, stream: ResponseStream) -> None:
        if not stream.begun:
            self.refuse(504, failure.body_of("Gateway Timeout"))

    # -- end -------------------------------------------------------------------------------------

    def _client_gone(self) -> None:
        """The handler goes on, its result is dropped; what it streams to or from is closed."""
        if self._body_channel is not None:
            self._body_channel.close()
        if self._stream is not None:
            self._stream.ended = True
            self._stream.channel.close()
        self._forget()
        self.gateway.record(self)
        if self.dispatched and not self.call_answered:
            return  # the place is free when the handler is done
        self.release()
        self._go_on(False)

    def _done(self) -> None:
        self.release()
        self.gateway.record(self)
        self._forget()
        if self._body_channel is not None:
            self._body_channel.finish()
        stream = self._stream
        if stream is not None and not stream.ended:
            stream.ended = True
            stream.channel.close()

    def _forget(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._late is not None:
            self._late.forget()
        if self._body_id:
            self.gateway.channels.drop(self.channel_id)
            self.gateway.channels.drop(self._body_id)
