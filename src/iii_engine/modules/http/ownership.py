"""Whose requests are whose: no guarded worker gets those of a route that is not its party's.

A route that is more exact than another, or newer, gets the requests that both fit. That is for
those who trust each other.
"""

from __future__ import annotations

from typing import Final

from iii_engine.core.engine import Engine
from iii_engine.core.triggers import Trigger
from iii_engine.modules.http.routes import Route, Routes
from iii_sdk.errors import Forbidden
from iii_sdk.protocol import ErrorBody

#: The first segment of the engine's own paths, as a route has it.
RESERVED: Final = "=_iii"


def claim(engine: Engine, route: Route, trigger: Trigger, *tables: Routes) -> None:
    """Let the route have its place: the first of the tables is what it will be added to.

    One of a guarded worker must not be in the way of another party's; one of a trusted worker has
    those removed that would be in its way. Raises `Forbidden`.
    """
    access = trigger.access
    if access is not None and access.rules.guarded:
        route.access = access
        _check_spelling(route)
        for table in tables:
            for other in table.overlapping(route):
                if _would_take(table, route, other) and not access.same_party(other.access):
                    raise _taken(route, other)
    else:
        table = tables[0]
        for other in list(table.overlapping(route)):
            intruder = None if other.access is None else engine.triggers.get(other.id)
            if intruder not in (None, trigger) and _would_take(table, other, route):
                error = _taken(other, route)
                engine.triggers.refuse(intruder, ErrorBody(error.code, error.message))


def _would_take(table: Routes, route: Route, other: Route) -> bool:
    return _methods(route) == _methods(other) and table.outranks(route, other)


def _methods(route: Route) -> str:
    """HEAD requests are answered by routes for GET too."""
    return "GET" if route.method == "HEAD" else route.method


def _check_spelling(route: Route) -> None:
    """A path has one spelling, or it could be another's in disguise."""
    if any(kind[0] == "=" and "%" in kind for kind in route.segments):
        raise _refusal(route, "a worker under access control may not use % in a path")
    if route.segments[0] == RESERVED:
        raise _refusal(route, "the path is the engine's own")


def _taken(route: Route, other: Route) -> Forbidden:
    return _refusal(route, f"requests for {other.method} {other.path} belong to another worker")


def _refusal(route: Route, reason: str) -> Forbidden:
    return Forbidden(f"$.config.api_path: {route.method} {route.path}: {reason}", code="FORBIDDEN")
