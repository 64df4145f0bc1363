"""Options of `iii-http`, as the config file spells them."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct, field

from iii_engine.modules.bounds import Port, Positive


class CorsOptions(Struct, forbid_unknown_fields=True):
    """Which origins may read answers. An empty list, or one with `*`, means any."""

    #: Origins that may read answers.
    allowed_origins: list[str] = field(default_factory=list)
    #: Methods that pages may use.
    allowed_methods: list[str] = field(default_factory=list)
    #: Request headers that pages may send.
    allowed_headers: list[str] = field(default_factory=list)


class MiddlewareOptions(Struct, forbid_unknown_fields=True):
    """A function asked before every request; lower `priority` first."""

    #: Gets the request and lets it pass, changes its context, or answers it.
    function_id: str
    #: Other phases are ignored, with a warning.
    phase: str = "preHandler"
    #: Lower ones are asked first.
    priority: int = 0


class HttpOptions(Struct, forbid_unknown_fields=True):
    """Times are milliseconds, sizes bytes. Without `cors` any origin may read answers."""

    #: 0 takes a free one.
    port: Port = 3111
    #: Address to listen on.
    host: str = "127.0.0.1"
    #: For the head of a response, and for each middleware, ms.
    default_timeout: Positive = 30_000
    #: Requests in work; further ones wait in order.
    concurrency_request_limit: Positive = 1024
    #: Without it pages of any origin may read answers.
    cors: CorsOptions | None = None
    #: Asked before every request.
    middleware: list[MiddlewareOptions] = field(default_factory=list)
    #: Of a body that is read whole, in bytes; larger ones get 413.
    body_limit: Positive = 10_485_760
    #: Take client address and scheme from `X-Forwarded-*`.
    trust_proxy: bool = False
    #: Passed on, made when absent, and echoed.
    request_id_header: Annotated[str, Meta(pattern="^[A-Za-z0-9-]+$")] = "x-request-id"
    #: `/a/` is `/a`.
    ignore_trailing_slash: bool = False
    #: Answers requests without a route.
    not_found_function: str | None = None
    #: Serve a description of all routes at `/_iii/openapi.json`.
    openapi: bool = False

    def keepers(self) -> frozenset[str]:
        """The functions that see requests of every route."""
        asked = {entry.function_id for entry in self.middleware}
        return frozenset(asked | {self.not_found_function or ""} - {""})
