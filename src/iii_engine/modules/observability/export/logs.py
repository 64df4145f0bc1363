"""Log records as an OTLP request."""

from __future__ import annotations

from collections.abc import Iterable

from iii_engine.modules.observability.export import messages as otlp
from iii_engine.modules.observability.export.ids import as_hex
from iii_engine.modules.observability.export.values import any_value, key_values, resource
from iii_engine.modules.observability.logs.record import LogRecord


def logs_request(records: Iterable[LogRecord]) -> otlp.LogsRequest:
    """Grouped by resource and scope."""
    groups: dict[tuple[tuple[str, object], ...], dict[tuple[str, str], list[otlp.LogRecord]]] = {}
    for record in records:
        source = tuple({"service.name": record.service_name, **record.resource}.items())
        scope = (
            record.instrumentation_scope_name or "",
            record.instrumentation_scope_version or "",
        )
        groups.setdefault(source, {}).setdefault(scope, []).append(_record(record))
    return otlp.LogsRequest(
        [
            otlp.ResourceLogs(
                resource(dict(source)),
                [otlp.ScopeLogs(otlp.Scope(*scope), found) for scope, found in scopes.items()],
            )
            for source, scopes in groups.items()
        ]
    )


def _record(record: LogRecord) -> otlp.LogRecord:
    return otlp.LogRecord(
        str(record.timestamp_unix_nano),
        str(record.observed_timestamp_unix_nano),
        record.severity_number,
        record.severity_text,
        any_value(record.body),
        key_values(record.attributes.items()),
        as_hex(record.trace_id, 32),
        as_hex(record.span_id, 16),
    )
