"""What the span of a request tells about it."""

from __future__ import annotations

from msgspec import Struct

from iii_engine.core.spans import Attributes, function_kind
from iii_engine.modules.http.redaction import query_for_spans
from iii_engine.modules.http.routes import Route


class RequestFacts(Struct, gc=False):
    """Of the headers only what is shown, because a span may stay for long. Called when somebody
    looks at the span."""

    method: str
    route: Route
    target: str
    scheme: str
    host: str
    user_agent: str
    content_type: bytes
    size: int
    status: int

    def __call__(self) -> Attributes:
        path, mark, query = self.target.partition("?")
        query = query_for_spans(query)
        host, scheme = self.host, self.scheme
        found = {
            "http.request.method": self.method,
            "http.route": self.route.label,
            "url.path": path,
            "url.query": query,
            "url.scheme": scheme,
            "url.full": f"{scheme}://{host}{path}{mark}{query}" if host else "",
            "server.address": _without_port(host),
            "user_agent.original": self.user_agent,
            "http.request.header.content_type": self.content_type.decode("latin-1"),
            "iii.function.kind": function_kind(self.route.function_id),
        }
        numbers = {"http.request.body.size": self.size, "http.response.status_code": self.status}
        return tuple((key, value) for key, value in (found | numbers).items() if value != "")


def error_of(status: int) -> str | None:
    """Why an answer of this status is a failure; 0 is none at all."""
    if status == 0:
        return "the client has gone"
    return f"HTTP {status}" if status >= 500 else None


def _without_port(host: str) -> str:
    """`[::1]:80` and `example.org:80` without `:80`."""
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdigit() else host
