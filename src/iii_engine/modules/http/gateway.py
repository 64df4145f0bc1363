"""Where requests come in: from the listener to a route, or to an answer without one."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import msgspec
from msgspec import Raw

from iii_engine.core.engine import Engine
from iii_engine.modules.http import failure, pipeline
from iii_engine.modules.http.admission import Admission
from iii_engine.modules.http.cors import Cors
from iii_engine.modules.http.late_body import LateBodies
from iii_engine.modules.http.openapi import document
from iii_engine.modules.http.options import HttpOptions
from iii_engine.modules.http.payload import Head, read_head
from iii_engine.modules.http.request import Request
from iii_engine.modules.http.result import JSON_TYPE
from iii_engine.modules.http.routes import Route, RouteConfig, Routes
from iii_engine.modules.http.vanished import Vanished
from iii_engine.net.http_exchange import Exchange
from iii_sdk.protocol import ErrorBody

if TYPE_CHECKING:
    from collections.abc import Coroutine

log = logging.getLogger("iii.http")

HEALTH_PATH = "/_iii/health"
OPENAPI_PATH = "/_iii/openapi.json"


class _Client:
    """Remembered between the requests of one connection, which mostly send equal headers."""

    __slots__ = ("fields", "head", "headers", "options")

    def __init__(
        self, headers: list[tuple[bytes, bytes]], options: HttpOptions, head: Head, fields: bytes
    ) -> None:
        self.headers = headers
        self.options = options  # under which they were read
        self.head = head
        self.fields = fields


class Gateway:
    """Answers the requests of one listener."""

    def __init__(
        self, engine: Engine, options: HttpOptions, loop: asyncio.AbstractEventLoop
    ) -> None:
        self.engine = engine
        self.tracing = engine.tracing
        self._count = engine.meters.counter(
            "iii.http.requests", ("route", "status"), description="Requests that found a route"
        ).add
        self.loop = loop
        self.time = loop.time
        self.new_id = engine.ids.uuid
        self.error_id = engine.ids.span_id
        self.channels = engine.channels
        self.routes = Routes()
        self.vanished = Vanished(loop.time)
        self.admission = Admission(options.concurrency_request_limit, loop.call_soon)
        self.late_bodies = LateBodies()
        self._tasks: set[asyncio.Task[None]] = set()
        self.use(options)

    def use(self, options: HttpOptions) -> None:
        """Take these options, also for the requests under way; all but host and port count here."""
        self.options = options
        ignore_slash = options.ignore_trailing_slash
        self.routes = self.routes.copy(ignore_trailing_slash=ignore_slash)
        self.vanished.use(ignore_trailing_slash=ignore_slash)
        self.middleware = _middleware(options)
        name = options.request_id_header.lower()
        self._request_id_header = name
        self._request_id_line = f"{name}: ".encode()
        self.request_id_json = f'"{name}":"%b"}}'.encode()
        self._cors = Cors(options.cors)
        self.admission.resize(options.concurrency_request_limit)

    # -- requests --------------------------------------------------------------------------------

    def on_request(self, exchange: Exchange) -> None:
        """The listener has a request."""
        target = exchange.target
        path = target.partition("?")[0]
        if path[:1] != "/":
            path = _path_of(path)
        if exchange.method == "OPTIONS":
            preflight = self._cors.preflight(exchange.headers)
            if preflight is not None:
                exchange.respond(200, preflight, b"")
                return
        match = self.routes.find(exchange.method, path)
        if match.route is not None:
            self._admit(Request(self, exchange, match.route, match.params, path))
        elif (gone := self.vanished.find(exchange.method, path)) is not None:
            body = failure.body_of("The worker of this route has gone", path=path)
            body = failure.formed(body, 503, gone.error_format)
            self.answer(exchange, 503, body, failure.RETRY_SOON)
        elif match.allowed:
            allow = f"allow: {', '.join(match.allowed)}\r\n".encode()
            body = failure.body_of("Method Not Allowed")
            self.answer(exchange, 405, failure.formed(body, 405, match.error_format), allow)
        else:
            self._unknown(exchange, path)

    def _unknown(self, exchange: Exchange, path: str) -> None:
        if path == HEALTH_PATH and exchange.method in ("GET", "HEAD"):
            self._health(exchange)
        elif path == OPENAPI_PATH and self.options.openapi and exchange.method == "GET":
            self.answer(exchange, 200, document(self.engine, self.routes))
        elif self.options.not_found_function is not None:
            # A route of this one request, whose path is the one that was asked for.
            config = RouteConfig(path, exchange.method)
            route = Route.catch_all(self.options.not_found_function, config)
            self._admit(Request(self, exchange, route, [], path))
        else:
            self.answer(exchange, 404, msgspec.json.encode({"error": "Not Found", "path": path}))

    def _admit(self, request: Request) -> None:
        if not self.admission.ask(request):
            request.exchange.on_close = request.withdraw

    def _health(self, exchange: Exchange) -> None:
        def on_answer(result: Raw, error: ErrorBody | None) -> None:
            if error is None:
                self.answer(exchange, 200, bytes(result))
            else:
                self.answer(exchange, 503, failure.body_of(error.message))

        self.engine.call("engine::health::check", b"{}", on_answer, timeout_ms=5000)

    def answer(self, exchange: Exchange, status: int, body: bytes, head: bytes = b"") -> None:
        """Answer JSON for a request that has no route."""
        read, _ = self.client_of(exchange)
        common = self.common_head(read.request_id or self.new_id(), read, frozenset())
        exchange.respond(status, JSON_TYPE + head + common, body)

    def run_pipeline(self, request: Request) -> None:
        self._spawn(request, pipeline.run(request))

    def _spawn(self, request: Request, work: Coroutine[None, None, None]) -> None:
        task: asyncio.Task[None] = self.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def cancel_all(self) -> None:
        """End the tasks that still run."""
        for task in self._tasks:
            task.cancel()

    def record(self, request: Request) -> None:
        """A request has its answer, or nobody waits for one. Only the first time counts."""
        span = request.span
        if span.ended_ns == 0:
            exchange, head = request.exchange, request.head
            span.finish(exchange, head, self.scheme_of(head))
            if exchange.status:
                self._count(request.route.label, f"{exchange.status}")

    # -- what requests share ---------------------------------------------------------------------

    def client_of(self, exchange: Exchange) -> tuple[Head, bytes]:
        """The headers as read, and the payload fields that describe the client."""
        connection = exchange.connection
        known = connection.memory
        if (
            isinstance(known, _Client)
            and known.headers == exchange.headers
            and known.options is self.options
        ):
            return known.head, known.fields
        head = read_head(exchange.headers, self._request_id_header)
        fields = self._client_fields(exchange.peer, head)
        connection.memory = _Client(exchange.headers, self.options, head, fields)
        return head, fields

    def _client_fields(self, peer: str, head: Head) -> bytes:
        client = peer
        if self.options.trust_proxy and head.forwarded_for:
            client = head.forwarded_for.partition(",")[0].strip()
        encode = msgspec.json.encode
        return b',"client_ip":%b,"remote_addr":%b,"scheme":%b,"headers":' % (
            encode(client),
            encode(peer),
            encode(self.scheme_of(head)),
        )

    def scheme_of(self, head: Head) -> str:
        """What the client uses, as far as its proxy says so and is trusted."""
        if self.options.trust_proxy and head.forwarded_proto:
            return head.forwarded_proto.partition(",")[0].strip()
        return "http"

    def common_head(self, request_id: str, head: Head, names: frozenset[str]) -> bytes:
        """Header lines that every answer has, unless the handler set them."""
        cors = self._cors.lines(head.origin)
        if not names:
            return b"%b%b\r\n%b" % (self._request_id_line, request_id.encode(), cors)
        if "access-control-allow-origin" in names:
            cors = b""
        if self._request_id_header in names:
            return cors
        return b"%b%b\r\n%b" % (self._request_id_line, request_id.encode(), cors)


def _path_of(target: str) -> str:
    """The path of an absolute request target (`http://host/path`)."""
    _, mark, rest = target.partition("://")
    return "/" + rest.partition("/")[2] if mark else target


def _middleware(options: HttpOptions) -> list[str]:
    for entry in options.middleware:
        if entry.phase != "preHandler":
            log.warning(
                "middleware %s has the unknown phase %r and is not run",
                entry.function_id,
                entry.phase,
            )
    known = [entry for entry in options.middleware if entry.phase == "preHandler"]
    return [entry.function_id for entry in sorted(known, key=lambda entry: entry.priority)]
