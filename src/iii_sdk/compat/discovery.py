"""What is on the bus, in the words of the engine's lists."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from msgspec import field

from iii_sdk.compat.messages import Model

M = TypeVar("M", bound=Model)

#: Ids of the functions by which instances learn of other functions; lists leave them out.
HIDDEN = "iii::on-functions-available::"


class FunctionInfo(Model):
    """A function that somebody offers."""

    function_id: str
    description: str | None = None
    request_format: Any = None
    response_format: Any = None
    metadata: Any = None


class WorkerInfo(Model):
    """A worker that is connected, or a module of the engine."""

    id: str
    name: str | None = None
    runtime: str | None = None
    version: str | None = None
    os: str | None = None
    ip_address: str | None = None
    status: str = ""
    connected_at_ms: int = 0
    function_count: int = 0
    functions: list[str] = field(default_factory=list)
    active_invocations: int = 0
    pid: int | None = None
    isolation: str | None = None


class TriggerInfo(Model):
    """A registered trigger."""

    id: str
    trigger_type: str
    function_id: str
    config: Any = None
    metadata: Any = None


class TriggerTypeInfo(Model):
    """A type of trigger that a worker or a module owns."""

    id: str
    description: str | None = None
    trigger_request_format: Any = None
    call_request_format: Any = None


def rows(kind: type[M], name: str) -> Callable[[Any], list[M]]:
    """Reads the list of this name in a result."""
    return lambda result: [kind.model_validate(row) for row in result[name]]


def functions(include_hidden: bool = False) -> Callable[[Any], list[FunctionInfo]]:
    """Reads a list of functions."""
    read = rows(FunctionInfo, "functions")
    if include_hidden:
        return read
    return lambda result: [f for f in read(result) if not f.function_id.startswith(HIDDEN)]
