"""Options of `iii-http`, as the config file spells them."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct, field

from iii_engine.modules.bounds import Port, Positive


class CorsOptions(Struct, forbid_unknown_fields=True):
    """Which origins may read answers. An empty list, or one with `*`, means any."""

    allowed_origins: list[str] = field(default_factory=list)
    allowed_methods: list[str] = field(default_factory=list)
    allowed_headers: list[str] = field(default_factory=list)


class MiddlewareOptions(Struct, forbid_unknown_fields=True):
    """A function asked before every request; lower `priority` first."""

    function_id: str
    phase: str = "preHandler"
    priority: int = 0


class HttpOptions(Struct, forbid_unknown_fields=True):
    """Times are milliseconds, sizes bytes. Without `cors` any origin may read answers."""

    port: Port = 3111
    host: str = "127.0.0.1"
    default_timeout: Positive = 30_000
    concurrency_request_limit: Positive = 1024
    cors: CorsOptions | None = None
    middleware: list[MiddlewareOptions] = field(default_factory=list)
    body_limit: Positive = 10_485_760
    trust_proxy: bool = False
    request_id_header: Annotated[str, Meta(pattern="^[A-Za-z0-9-]+$")] = "x-request-id"
    ignore_trailing_slash: bool = False
    not_found_function: str | None = None
    openapi: bool = False
