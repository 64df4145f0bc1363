from __future__ import annotations

from typing import Any

import pytest
from tests.support.telemetry import TRACE, attributes, logs_frame

from iii_engine.modules.observability.frames.logs import read_logs
from iii_engine.modules.observability.logs.record import LogRecord


def read(**record: Any) -> LogRecord:
    (found,) = read_logs(memoryview(logs_frame(record))[4:], 77)
    return found


def test_everything_of_a_record() -> None:
    found = read(
        timeUnixNano="5",
        observedTimeUnixNano=6,
        severityNumber=13,
        severityText="Careful",
        body={"stringValue": "hello"},
        attributes=attributes(user="u", data={"kvlistValue": {"values": attributes(n=1)}}),
        traceId=TRACE.upper(),
        spanId="b7ad6b7169203331",
    )
    assert found == LogRecord(
        timestamp_unix_nano=5,
        observed_timestamp_unix_nano=6,
        severity_number=13,
        severity_text="Careful",
        body="hello",
        attributes={"user": "u", "data": {"n": 1}},
        trace_id=TRACE,
        span_id="b7ad6b7169203331",
        resource={"service.name": "svc"},
        service_name="svc",
        instrumentation_scope_name="lib",
        instrumentation_scope_version=None,
    )
    assert found.effective_ns == 5


def test_as_little_as_possible() -> None:
    found = read()
    assert (found.timestamp_unix_nano, found.observed_timestamp_unix_nano) == (0, 77)
    assert (found.severity_number, found.severity_text, found.body) == (0, "", "")
    assert (found.trace_id, found.span_id, found.attributes) == (None, None, {})
    assert found.effective_ns == 77


@pytest.mark.parametrize(
    ("number", "text"), [(1, "TRACE"), (8, "DEBUG"), (9, "INFO"), (16, "WARN"), (17, "ERROR")]
)
def test_a_missing_name_comes_from_the_number(number: int, text: str) -> None:
    assert read(severityNumber=number).severity_text == text
    assert read(severityNumber=str(number), severityText="").severity_text == text


@pytest.mark.parametrize(
    ("fields", "number", "text"),
    [
        ({"severityNumber": 21}, 21, "FATAL"),
        ({"severityNumber": 99}, 99, ""),
        ({"severityNumber": "SEVERITY_NUMBER_WARN2"}, 14, "WARN"),
        ({"severityText": "warning"}, 13, "warning"),
        ({"severityText": "odd"}, 0, "odd"),
    ],
)
def test_severities(fields: dict[str, Any], number: int, text: str) -> None:
    found = read(**fields)
    assert (found.severity_number, found.severity_text) == (number, text)


def test_ids_of_zeros_are_none_and_those_among_the_attributes_count() -> None:
    found = read(traceId="0" * 32, spanId="0" * 16)
    assert (found.trace_id, found.span_id) == (None, None)
    found = read(traceId="", attributes=attributes(trace_id="t1", span_id="s1", service__name="x"))
    assert (found.trace_id, found.span_id, found.service_name) == ("t1", "s1", "x")


def test_a_body_that_is_no_text_is_json() -> None:
    assert read(body={"kvlistValue": {"values": attributes(a=1)}}).body == '{"a": 1}'
    assert read(body={"intValue": "3"}).body == "3"
