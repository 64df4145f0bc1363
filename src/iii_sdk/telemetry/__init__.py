"""Spans, log records and process metrics of a worker, sent to its engine as OTLP in JSON.

They travel on the worker's own connection (wire protocol 11), in buffers that are bounded: what an
engine does not take in time is dropped and counted, and no call ever waits for it. Nothing here
needs OpenTelemetry; `opentelemetry.py` joins both where a program uses that.
"""

from iii_sdk.telemetry.exporter import Exporter
from iii_sdk.telemetry.logs import LogRecord
from iii_sdk.telemetry.settings import Settings
from iii_sdk.telemetry.spans import Span

__all__ = ["Exporter", "LogRecord", "Settings", "Span"]
