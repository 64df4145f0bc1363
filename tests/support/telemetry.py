"""Telemetry frames as workers send them."""

from __future__ import annotations

import json
from typing import Any

TRACE = "0af7651916cd43dd8448eb211c80319c"


def attributes(**values: Any) -> list[dict[str, Any]]:
    """`a__b` stands for the key `a.b`; values are told apart by their type."""
    kinds = {bool: "boolValue", int: "intValue", float: "doubleValue", str: "stringValue"}
    return [
        {
            "key": key.replace("__", "."),
            "value": value if isinstance(value, dict) else {kinds[type(value)]: value},
        }
        for key, value in values.items()
    ]


def resource(service: str) -> dict[str, Any]:
    return {"attributes": attributes(service__name=service)}


def span(name: str, number: int = 1, parent: str | None = None, **fields: Any) -> dict[str, Any]:
    """The span number `number` of `TRACE`, which lasts a millisecond."""
    return {
        "traceId": TRACE,
        "spanId": f"{number:016x}",
        "name": name,
        "startTimeUnixNano": str(number * 1_000_000),
        "endTimeUnixNano": str((number + 1) * 1_000_000),
        **({} if parent is None else {"parentSpanId": parent}),
        **fields,
    }


def spans_frame(*spans: dict[str, Any], service: str = "svc") -> bytes:
    scoped = [{"scope": {"name": "lib", "version": "1"}, "spans": spans}]
    return _frame(
        b"OTLP", {"resourceSpans": [{"resource": resource(service), "scopeSpans": scoped}]}
    )


def logs_frame(*records: dict[str, Any], service: str = "svc") -> bytes:
    scoped = [{"scope": {"name": "lib"}, "logRecords": records}]
    return _frame(b"LOGS", {"resourceLogs": [{"resource": resource(service), "scopeLogs": scoped}]})


def metrics_frame(*metrics: dict[str, Any], service: str = "svc") -> bytes:
    scoped = [{"metrics": metrics}]
    body = {"resourceMetrics": [{"resource": resource(service), "scopeMetrics": scoped}]}
    return _frame(b"MTRC", body)


def _frame(prefix: bytes, body: dict[str, Any]) -> bytes:
    return prefix + json.dumps(body).encode()
