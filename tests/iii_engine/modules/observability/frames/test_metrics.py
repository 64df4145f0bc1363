from __future__ import annotations

from typing import Any

import pytest
from tests.support.telemetry import attributes, metrics_frame

from iii_engine.modules.observability.frames.metrics import read_metrics
from iii_engine.modules.observability.metrics.metric import (
    Cumulative,
    HistogramPoint,
    Metric,
    NumberPoint,
)


def read(**metric: Any) -> list[Metric]:
    return list(read_metrics(memoryview(metrics_frame({"name": "m", **metric}))[4:], 77))


def test_a_gauge() -> None:
    points = [
        {"asInt": "3", "timeUnixNano": "5", "attributes": attributes(worker__id="w", n=1)},
        {"asDouble": 0.5},
        {},
    ]
    (found,) = read(description="d", unit="By", gauge={"dataPoints": points})
    assert (found.name, found.description, found.unit) == ("m", "d", "By")
    assert (found.metric_type, found.service_name, found.timestamp_unix_nano) == (
        "gauge",
        "svc",
        77,
    )
    assert found.data_points == [
        NumberPoint(3.0, [("worker.id", "w"), ("n", "1")], 5),
        NumberPoint(0.5, [], 77),
        NumberPoint(0.0, [], 77),
    ]
    assert type(found) is Metric


@pytest.mark.parametrize(
    ("fields", "kind", "totals"),
    [
        ({"isMonotonic": True, "aggregationTemporality": 2}, "counter", True),
        ({"isMonotonic": True, "aggregationTemporality": 1}, "counter", False),
        (
            {"aggregationTemporality": "AGGREGATION_TEMPORALITY_CUMULATIVE"},
            "updowncounter",
            True,
        ),
        ({}, "updowncounter", False),
    ],
)
def test_sums(fields: dict[str, Any], kind: str, totals: bool) -> None:
    (found,) = read(sum={"dataPoints": [{"asInt": 1}], **fields})
    assert (found.metric_type, isinstance(found, Cumulative)) == (kind, totals)


def test_a_histogram() -> None:
    point = {
        "count": "3",
        "sum": 6.5,
        "bucketCounts": ["1", 2],
        "explicitBounds": [1.0],
        "min": 0.5,
        "max": 4,
        "timeUnixNano": 9,
    }
    (found,) = read(histogram={"dataPoints": [point, {}], "aggregationTemporality": 2})
    assert found.metric_type == "histogram"
    assert found.data_points == [
        HistogramPoint(3, 6.5, [1, 2], [1.0], 0.5, 4.0, [], 9),
        HistogramPoint(0, 0.0, [], [], None, None, [], 77),
    ]


def test_other_kinds_are_left_out() -> None:
    assert read(exponentialHistogram={"dataPoints": []}) == []
