"""The shapes of OTLP in JSON that all three signals share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import isfinite
from typing import Any, Final, TypeAlias

import msgspec

#: A value of an attribute. Others become their text.
Value: TypeAlias = object

#: Names the library that made the records.
SCOPE: Final = {"name": "iii_sdk"}

_encoder: Final = msgspec.json.Encoder(enc_hook=str)

#: Longer texts are cut, in characters.
MAX_TEXT: Final = 16_384


def value(item: Value) -> dict[str, Any]:
    """An attribute's value, tagged with its type."""
    if isinstance(item, bool):
        return {"boolValue": item}
    if isinstance(item, int):
        return {"intValue": str(item)}
    if isinstance(item, float) and isfinite(item):
        return {"doubleValue": item}
    if isinstance(item, (list, tuple)):
        return {"arrayValue": {"values": [value(part) for part in item]}}
    if isinstance(item, Mapping):
        return {"kvlistValue": {"values": attributes(item)}}
    text = item if isinstance(item, str) else str(item)
    if not text.isascii():
        text = text.encode("utf-8", "replace").decode()
    return {"stringValue": text[:MAX_TEXT]}


def attributes(items: Mapping[Any, Value]) -> list[dict[str, Any]]:
    """Attributes as the list of pairs that OTLP wants."""
    return [{"key": str(key), "value": value(item)} for key, item in items.items()]


def frame(prefix: bytes, signal: str, scope: str, resource: Mapping[str, str], body: Any) -> bytes:
    """A telemetry frame; `body` is what the one scope of the one resource holds."""
    part = {"resource": {"attributes": attributes(resource)}, scope: [{"scope": SCOPE, **body}]}
    return prefix + _encoder.encode({signal: [part]})


def spans_frame(resource: Mapping[str, str], spans: Iterable[Any]) -> bytes:
    """An `OTLP` frame."""
    return frame(b"OTLP", "resourceSpans", "scopeSpans", resource, {"spans": list(spans)})


def logs_frame(resource: Mapping[str, str], records: Iterable[Any]) -> bytes:
    """A `LOGS` frame."""
    return frame(b"LOGS", "resourceLogs", "scopeLogs", resource, {"logRecords": list(records)})


def metrics_frame(resource: Mapping[str, str], metrics: Iterable[Any]) -> bytes:
    """An `MTRC` frame."""
    return frame(b"MTRC", "resourceMetrics", "scopeMetrics", resource, {"metrics": list(metrics)})
