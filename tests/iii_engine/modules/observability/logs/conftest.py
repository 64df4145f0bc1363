"""Records to store."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from iii_engine.modules.observability.logs.record import LogRecord

SECOND = 1_000_000_000


@pytest.fixture
def record() -> Callable[..., LogRecord]:
    def make(body: str = "b", **fields: Any) -> LogRecord:
        base: dict[str, Any] = {
            "timestamp_unix_nano": 1_700_000_000 * SECOND,
            "observed_timestamp_unix_nano": 1_700_000_000 * SECOND,
            "severity_number": 9,
            "severity_text": "INFO",
            "body": body,
            "attributes": {},
            "trace_id": None,
            "span_id": None,
            "resource": {},
            "service_name": "svc",
        }
        return LogRecord(**{**base, **fields})

    return make
