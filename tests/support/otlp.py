"""What a capturing engine was told by telemetry: `telemetry` is a list of (prefix, body)."""

from __future__ import annotations

from typing import Any, Protocol

from iii_engine.core.engine import Engine


class Captured(Protocol):
    telemetry: list[tuple[str, Any]]
    core: Engine


def spans(engine: Captured) -> list[dict[str, Any]]:
    return _items(engine, "OTLP", "resourceSpans", "scopeSpans", "spans")


def records(engine: Captured) -> list[dict[str, Any]]:
    """Log records."""
    return _items(engine, "LOGS", "resourceLogs", "scopeLogs", "logRecords")


def metrics(engine: Captured) -> list[dict[str, Any]]:
    return _items(engine, "MTRC", "resourceMetrics", "scopeMetrics", "metrics")


def span(engine: Captured, name: str) -> dict[str, Any] | None:
    """The first span of this name."""
    return next((s for s in spans(engine) if s["name"] == name), None)


def ancestors(engine: Captured, span: dict[str, Any]) -> list[str]:
    """The ids of the spans above one of a worker, through those that the engine made itself."""
    parents = {s.span_id: s.parent_span_id for s in engine.core.spans}
    parents |= {s["spanId"]: s.get("parentSpanId") for s in spans(engine)}
    found: list[str] = []
    parent = parents[span["spanId"]]
    while parent is not None:
        found.append(parent)
        parent = parents.get(parent)
    return found


def plain(attributes: list[dict[str, Any]]) -> dict[str, Any]:
    """Attributes by name, as the texts and numbers they were sent as."""
    return {pair["key"]: next(iter(pair["value"].values())) for pair in attributes}


def _items(engine: Captured, prefix: str, signal: str, scope: str, items: str) -> list[Any]:
    return [
        item
        for kind, body in engine.telemetry
        if kind == prefix
        for resource in body[signal]
        for part in resource[scope]
        for item in part[items]
    ]
