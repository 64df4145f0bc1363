"""An OpenAPI 3.1 document of the routes, from triggers and the functions' schemas."""

from __future__ import annotations

import msgspec
from msgspec import Raw

from iii_engine.core.engine import Engine
from iii_engine.modules.http.routes import Route, Routes
from iii_engine.version import VERSION
from iii_sdk.protocol import is_null


def document(engine: Engine, routes: Routes) -> bytes:
    paths: dict[str, dict[str, object]] = {}
    for route in routes:
        paths.setdefault(_template(route), {})[route.method.lower()] = _operation(engine, route)
    return msgspec.json.encode(
        {"openapi": "3.1.0", "info": {"title": "iii", "version": VERSION}, "paths": paths}
    )


def _template(route: Route) -> str:
    names = iter(route.names)
    return "/" + "/".join(
        kind[1:] if kind[0] == "=" else "{" + next(names) + "}" for kind in route.segments
    )


def _operation(engine: Engine, route: Route) -> dict[str, object]:
    operation: dict[str, object] = {
        "operationId": f"{route.function_id} {route.method} {route.path}",
        "responses": {"default": {"description": "What the function answers"}},
    }
    if route.names:
        operation["parameters"] = [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
            for name in route.names
        ]
    function = engine.registry.get(route.function_id)
    if function is None:
        return operation
    offer = function.newest
    if offer.description:
        operation["summary"] = offer.description
    if not is_null(offer.request_format):
        operation["requestBody"] = {"content": _json(offer.request_format)}
    if not is_null(offer.response_format):
        operation["responses"] = {
            "200": {"description": "Result", "content": _json(offer.response_format)}
        }
    return operation


def _json(schema: Raw) -> dict[str, object]:
    return {"application/json": {"schema": schema}}
