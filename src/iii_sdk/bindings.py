"""Bindings: which events call a function."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from iii_sdk.errors import BusError

Auth: TypeAlias = Literal["required", "optional", "none"]

METHODS = frozenset({"GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"})


@dataclass(frozen=True)
class Route:
    """How an HTTP route treats its requests.

    `status` is the status of a plain result. `error_body` makes the JSON body of this route's
    errors.
    """

    method: str
    path: str
    auth: Auth = "required"
    status: int = 200
    error_body: Callable[[BusError], object] | None = None

    @property
    def key(self) -> tuple[str, str]:
        return (self.method, self.path.strip("/"))


@dataclass(frozen=True)
class Binding:
    """A trigger type with its config; `route` is there for HTTP only."""

    trigger_type: str
    config: Mapping[str, object] = field(default_factory=dict)
    route: Route | None = None
    metadata: Mapping[str, object] | None = None


def http(
    method: str,
    path: str,
    *,
    public: bool = False,
    auth: Auth = "required",
    status: int = 200,
    error_body: Callable[[BusError], object] | None = None,
    error_format: Literal["openai"] | None = None,
    raw_body: bool = False,
    condition: str | None = None,
    middleware: Sequence[str] = (),
) -> Binding:
    """An HTTP route. `public=True` is `auth="none"`; `raw_body` keeps the body's bytes for the
    handler (`call.http.raw_body`). `error_body` forms the errors of the worker, `error_format`
    those that the engine answers by itself. Raises `ValueError` for an unknown method."""
    method = method.upper()
    if method not in METHODS:
        raise ValueError(f"http: unknown method {method!r}")
    config: dict[str, object] = {"api_path": path, "http_method": method}
    if error_format is not None:
        config["error_format"] = error_format
    if raw_body:
        config["raw_body"] = True
    if condition is not None:
        config["condition_function_id"] = condition
    if middleware:
        config["middleware_function_ids"] = list(middleware)
    route = Route(method, path, "none" if public else auth, status, error_body)
    return Binding("http", config, route)


def cron(expression: str, *, condition: str | None = None) -> Binding:
    """At the times of a six-field cron expression (seconds first)."""
    return Binding("cron", _config({"expression": expression}, condition))


def subscribe(topic: str, *, condition: str | None = None) -> Binding:
    """Each message published on a topic; at most once."""
    return Binding("subscribe", _config({"topic": topic}, condition))


def consume(topic: str, *, condition: str | None = None, **queue_config: object) -> Binding:
    """Each message of a durable topic; at least once. `queue_config` as in `maxRetries=5`."""
    config: dict[str, object] = {"topic": topic}
    if queue_config:
        config["queue_config"] = queue_config
    return Binding("durable:subscriber", _config(config, condition))


def on_state(
    scope: str | None = None, key: str | None = None, *, condition: str | None = None
) -> Binding:
    """Each change of the state, of a scope, or of one key."""
    return Binding("state", _config({"scope": scope, "key": key}, condition))


def on_stream(
    name: str | None = None,
    group: str | None = None,
    item: str | None = None,
    *,
    condition: str | None = None,
) -> Binding:
    """Each change of a stream, of a group in it, or of one item."""
    config = {"stream_name": name, "group_id": group, "item_id": item}
    return Binding("stream", _config(config, condition))


def on_log(level: str = "all", *, condition: str | None = None) -> Binding:
    """Each log record of exactly this level."""
    return Binding("log", _config({"level": level}, condition))


def bind(
    trigger_type: str,
    config: Mapping[str, object] | None = None,
    *,
    metadata: Mapping[str, object] | None = None,
) -> Binding:
    """Any other trigger type."""
    return Binding(trigger_type, dict(config or {}), metadata=metadata)


def _config(config: Mapping[str, object], condition: str | None) -> dict[str, object]:
    kept = {name: value for name, value in config.items() if value is not None}
    if condition is not None:
        kept["condition_function_id"] = condition
    return kept
