"""Requests in protobuf. Its messages have the fields of `messages.py`, in other types."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

from msgspec import Struct
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from iii_engine.modules.observability.export.messages import (
    LogsRequest,
    MetricsRequest,
    Request,
    TracesRequest,
)


class _Message(Protocol):
    def SerializeToString(self) -> bytes: ...


_REQUESTS: Final[dict[type[Struct], Callable[..., _Message]]] = {
    TracesRequest: ExportTraceServiceRequest,
    LogsRequest: ExportLogsServiceRequest,
    MetricsRequest: ExportMetricsServiceRequest,
}

#: Fields that are text in JSON and something else here.
_CONVERSIONS: Final[dict[str, Callable[[Any], object]]] = {
    "trace_id": bytes.fromhex,
    "span_id": bytes.fromhex,
    "parent_span_id": bytes.fromhex,
    "int_value": int,
    "count": int,
    "bucket_counts": lambda counts: [int(count) for count in counts],
    "time_unix_nano": int,
    "observed_time_unix_nano": int,
    "start_time_unix_nano": int,
    "end_time_unix_nano": int,
}


def encode(request: Request) -> bytes:
    message = _REQUESTS[type(request)](**_fields(request))
    return message.SerializeToString()


def _fields(part: Struct) -> dict[str, object]:
    """The fields that are set, with the parts below as dictionaries."""
    found: dict[str, object] = {}
    for name in part.__struct_fields__:
        value = getattr(part, name)
        if value is None:
            continue
        convert = _CONVERSIONS.get(name)
        if convert is not None:
            value = convert(value)
        elif isinstance(value, Struct):
            value = _fields(value)
        elif isinstance(value, list) and value and isinstance(value[0], Struct):
            value = [_fields(item) for item in value]
        found[name] = value
    return found
