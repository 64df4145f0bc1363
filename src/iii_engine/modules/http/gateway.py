"""Where requests come in: from the listener to a route, or to an answer without one."""

from __future__ import annotations

import asyncio
import logging

import msgspec
from msgspec import Raw

from iii_engine.core.engine import Engine
from iii_engine.modules.http import failure, pipeline
from iii_engine.modules.http.admission import Admission
from iii_engine.modules.http.client import Client
from iii_engine.modules.http.cors import Cors
from iii_engine.modules.http.late_body import LateBodies
from iii_engine.modules.http.openapi import document
from iii_engine.modules.http.options import HttpOptions
from iii_engine.modules.http.request import Request
from iii_engine.modules.http.result import JSON_TYPE
from iii_engine.modules.http.routes import Route, RouteConfig, Routes
from iii_engine.modules.http.span import RequestFacts, error_of
from iii_engine.modules.http.vanished import Vanished
from iii_engine.net.http_exchange import Exchange
from iii_sdk.protocol import ErrorBody

log = logging.getLogger("iii.http")

HEALTH_PATH = "/_iii/health"
OPENAPI_PATH = "/_iii/openapi.json"
#: What those begin with: no guarded worker answers there, whatever its routes fit.
OWN_PATHS = "/_iii/"


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
        if (match.route is None or match.route.access is not None) and path[:6] == OWN_PATHS:
            self._unknown(exchange, path)
        elif match.route is not None:
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
            request.wait()

    def _health(self, exchange: Exchange) -> None:
        def on_answer(result: Raw, error: ErrorBody | None) -> None:
            if error is None:
                self.answer(exchange, 200, bytes(result))
            else:
                self.answer(exchange, 503, failure.body_of(error.message))

        self.engine.call("engine::health::check", b"{}", on_answer, timeout_ms=5000)

    def answer(self, exchange: Exchange, status: int, body: bytes, head: bytes = b"") -> None:
        """Answer JSON for a request that has no route."""
        client = self.client_of(exchange)
        common = client.answer_lines(client.head.request_id or self.new_id(), frozenset())
        exchange.respond(status, JSON_TYPE + head + common, body)

    def run_pipeline(self, request: Request) -> None:
        """Ask middleware and conditions, which takes a task."""
        task = self.loop.create_task(pipeline.run(request))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def cancel_all(self) -> None:
        """End the tasks that still run."""
        for task in self._tasks:
            task.cancel()

    def record(self, request: Request) -> None:
        """A request has its answer, or nobody waits for one."""
        exchange, client = request.exchange, request.client
        head, status = client.head, exchange.status
        span = request.span
        if span.recorded:
            span.attributes = RequestFacts(
                exchange.method,
                request.route,
                exchange.target,
                client.scheme,
                head.host or "",
                head.user_agent or "",
                exchange.content_type,
                exchange.content_length,
                status,
            )
        span.end(error_of(status))
        if status:
            self._count(request.route.label, f"{status}")

    # -- what requests share ---------------------------------------------------------------------

    def client_of(self, exchange: Exchange) -> Client:
        """Who asks. The requests of one connection mostly have equal headers."""
        connection = exchange.connection
        known = connection.memory
        if isinstance(known, Client) and known.known_by(exchange.headers, self.options):
            return known
        client = Client(exchange.headers, exchange.peer, self.options, self._cors)
        connection.memory = client
        return client


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
