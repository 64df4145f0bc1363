"""An OTLP collector that reads every request with OpenTelemetry's own messages."""

from __future__ import annotations

import gzip
import json
from base64 import b64encode
from collections.abc import Callable
from typing import Any

from google.protobuf import json_format
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from tests.support.endpoint import Endpoint, Request, answering

_MESSAGES: dict[str, Any] = {
    "traces": ExportTraceServiceRequest,
    "logs": ExportLogsServiceRequest,
    "metrics": ExportMetricsServiceRequest,
}
_IDS = ("traceId", "spanId", "parentSpanId")


class Collector(Endpoint):
    """Use as `async with Collector() as collector`; `answer` may say something else than 200."""

    def __init__(self, answer: Callable[[Request], bytes | None] = lambda _: answering(b"{}")):
        super().__init__(answer)

    def received(self, signal: str) -> list[Any]:
        """The requests of a signal. Fails for one that is not of its form."""
        return [
            _read(signal, request)
            for request in self.requests
            if request.resource.endswith(f"/v1/{signal}")
        ]

    def spans(self) -> dict[str, Any]:
        """All spans by name."""
        return {
            span.name: span
            for request in self.received("traces")
            for group in request.resource_spans
            for scoped in group.scope_spans
            for span in scoped.spans
        }


def _read(signal: str, request: Request) -> Any:
    body = request.body
    if request.headers.get("content-encoding") == "gzip":
        body = gzip.decompress(body)
    message = _MESSAGES[signal]()
    if request.headers["content-type"] == "application/x-protobuf":
        message.ParseFromString(body)
    else:
        assert request.headers["content-type"] == "application/json"
        json_format.ParseDict(_as_protobuf_has_ids(json.loads(body)), message)
    return message


def _as_protobuf_has_ids(value: Any) -> Any:
    """OTLP writes ids as hex digits, where JSON of protobuf has base64 for bytes."""
    if isinstance(value, list):
        return [_as_protobuf_has_ids(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: b64encode(bytes.fromhex(item)).decode() if key in _IDS else _as_protobuf_has_ids(item)
        for key, item in value.items()
    }


def plain(pairs: Any) -> dict[str, Any]:
    """Attributes as a dictionary."""
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}
