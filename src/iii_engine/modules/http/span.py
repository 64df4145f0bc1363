"""The span of a request: the first of its trace here, above the call of the handler."""

from __future__ import annotations

from typing import TYPE_CHECKING

from iii_engine.core.spans import Attributes, Span, function_kind
from iii_engine.core.tracing import Tracing
from iii_engine.modules.http.redaction import query_for_spans

if TYPE_CHECKING:
    from iii_engine.modules.http.payload import Head
    from iii_engine.modules.http.routes import Route
    from iii_engine.net.http_exchange import Exchange


class RequestSpan:
    """Under way until `finish`, then the record of itself: a span is made when somebody looks.

    `traceparent` is the context of what the request causes, `parent` that of the client.
    """

    __slots__ = (
        "_content_type",
        "_host",
        "_method",
        "_recorded",
        "_route",
        "_scheme",
        "_size",
        "_started_ns",
        "_status",
        "_target",
        "_tracing",
        "_user_agent",
        "ended_ns",
        "parent",
        "traceparent",
    )

    def __init__(self, tracing: Tracing, route: Route, method: str, parent: str | None) -> None:
        self._tracing = tracing
        self._route = route
        self._method = method
        self.parent = parent
        if parent is None and tracing.plain:
            self.traceparent, self._recorded = tracing.new_trace(), True
        else:
            self.traceparent, self._recorded = tracing.context(parent, self._name())
        self._started_ns = tracing.now_ns()
        self.ended_ns = 0

    def finish(self, exchange: Exchange, head: Head, scheme: str) -> None:
        """The answer is out, or the client has gone."""
        tracing = self._tracing
        self.ended_ns = tracing.now_ns()
        if self._recorded:
            # Of the headers only what is shown: a record may stay for long.
            self._status = exchange.status
            self._target = exchange.target
            self._content_type = exchange.content_type
            self._size = exchange.content_length
            self._host = head.host
            self._user_agent = head.user_agent
            self._scheme = scheme
            tracing.ring.add(self)

    @property
    def trace_id(self) -> str:
        return self.traceparent[3:35]

    def span_count(self) -> int:
        return 1

    def spans(self) -> tuple[Span, ...]:
        status = self._status
        error = None
        if status == 0:
            error = "the client has gone"
        elif status >= 500:
            error = f"HTTP {status}"
        return (
            Span(
                trace_id=self.trace_id,
                span_id=self.traceparent[36:52],
                parent_span_id=None if self.parent is None else self.parent[36:52],
                name=self._name(),
                kind="server",
                start_ns=self._started_ns,
                end_ns=self.ended_ns,
                status="ok" if error is None else "error",
                status_description=error,
                attributes=self._attributes(),
            ),
        )

    def _name(self) -> str:
        return f"{self._method} {self._route.label}".rstrip()

    def _attributes(self) -> Attributes:
        path, mark, query = self._target.partition("?")
        query = query_for_spans(query)
        host, scheme = self._host or "", self._scheme
        found = {
            "http.request.method": self._method,
            "http.route": self._route.label,
            "url.path": path,
            "url.query": query,
            "url.scheme": scheme,
            "url.full": f"{scheme}://{host}{path}{mark}{query}" if host else "",
            "server.address": _without_port(host),
            "user_agent.original": self._user_agent or "",
            "http.request.header.content_type": self._content_type.decode("latin-1"),
            "iii.function.kind": function_kind(self._route.function_id),
        }
        numbers = {"http.request.body.size": self._size, "http.response.status_code": self._status}
        return tuple((key, value) for key, value in (found | numbers).items() if value != "")


def _without_port(host: str) -> str:
    """`[::1]:80` and `example.org:80` without `:80`."""
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdigit() else host
