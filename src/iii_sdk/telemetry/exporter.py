"""Collects what a worker has to tell and sends it now and then."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final, Generic, TypeVar

import msgspec

from iii_sdk.telemetry import otlp
from iii_sdk.telemetry.logs import LogRecord
from iii_sdk.telemetry.process import ProcessGauges, gauge
from iii_sdk.telemetry.settings import Settings
from iii_sdk.telemetry.spans import Exportable

log = logging.getLogger("iii.sdk")


T = TypeVar("T", bound=Exportable)

#: Records of each kind that may wait to be sent. One more drops the oldest: a worker with many
#: thousand calls in a second shows a part of them, and pays for that part only.
WAITING: Final = 2048
#: Records in one frame, and seconds between two: no call waits longer for them than a millisecond.
BATCH: Final = 256
PACE: Final = 0.1
#: Seconds until the first report of the process.
FIRST_METRICS: Final = 5.0

#: Sends a frame on the worker's connection; False when that takes nothing now.
Send = Callable[[bytes], bool]


class Buffer(Generic[T]):
    """Records of one kind. Filled from any thread, emptied on the loop."""

    def __init__(
        self, make_frame: Callable[[Mapping[str, str], list[Any]], bytes], interval: float
    ) -> None:
        self.make_frame = make_frame
        self.interval = interval
        self.records: deque[T] = deque(maxlen=WAITING)
        self.timer: asyncio.TimerHandle | None = None
        self.armed = False
        self.dropped = 0


class Exporter:
    """Everything one worker tells. Made on the loop of its connection, used on any thread.

    Nothing raises here, and nothing waits: a record that cannot be sent is dropped.
    """

    def __init__(
        self,
        settings: Settings,
        worker_name: str,
        send: Send,
        worker_id: Callable[[], str | None],
    ) -> None:
        self.settings = settings
        self.resource = settings.resource(worker_name)
        self.spans: Buffer[Exportable] = Buffer(otlp.spans_frame, settings.spans_interval)
        self.logs: Buffer[LogRecord] = Buffer(otlp.logs_frame, settings.logs_interval)
        self._worker = (worker_name, worker_id)
        self._send = send
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._gauges: ProcessGauges | None = None
        self._metrics: asyncio.TimerHandle | None = None
        self._closed = False

    @property
    def closed(self) -> bool:
        """Nothing is told any more."""
        return self._closed

    def start(self) -> None:
        """Report the process from now on."""
        if self.settings.metrics_enabled:
            self._gauges = ProcessGauges()
            self._report_after(min(FIRST_METRICS, self.settings.metrics_interval))

    # -- from any thread -------------------------------------------------------------------------

    def span(self, span: Exportable) -> None:
        """Take a span that has ended."""
        self._put(self.spans, span)

    def record(self, record: LogRecord) -> None:
        """Take a log record."""
        self._put(self.logs, record)

    def metrics(self, metrics: list[dict[str, Any]]) -> None:
        """Send metrics that somebody else counts, in the form of OTLP; now or not at all."""
        if metrics and not self._closed:
            frame = otlp.metrics_frame(self.resource, metrics)
            self._soon(self._send, frame)

    def _soon(self, work: Callable[..., object], *arguments: object) -> None:
        """Do this on the loop, from any thread."""
        try:
            self._loop.call_soon_threadsafe(work, *arguments)
        except RuntimeError:  # the loop has ended: nobody will send it
            log.debug("telemetry after the end of the connection is dropped")

    def _put(self, buffer: Buffer[T], record: T) -> None:
        if len(buffer.records) == WAITING:
            buffer.dropped += 1
        buffer.records.append(record)
        if not buffer.armed and not self._closed:
            buffer.armed = True
            if threading.get_ident() == self._thread:
                self._arm(buffer)
            else:
                self._soon(self._arm, buffer)

    # -- on the loop -----------------------------------------------------------------------------

    def _arm(self, buffer: Buffer[T]) -> None:
        if not self._closed:
            buffer.timer = self._loop.call_later(buffer.interval, self._flush, buffer)

    def _flush(self, buffer: Buffer[T]) -> None:
        """Send a batch, and the next one a little later."""
        buffer.armed = False
        sent = self._send_batch(buffer)
        if buffer.records:
            buffer.armed = True
            pause = PACE if sent else buffer.interval
            buffer.timer = self._loop.call_later(pause, self._flush, buffer)

    def _send_batch(self, buffer: Buffer[T]) -> bool:
        """False when the connection takes nothing; then the records go on waiting."""
        records = buffer.records
        batch = [records.popleft() for _ in range(min(BATCH, len(records)))]
        try:
            frame = buffer.make_frame(self.resource, [record.otlp() for record in batch])
        except (TypeError, ValueError, RecursionError, msgspec.EncodeError) as error:
            log.warning("%d records of telemetry cannot be written: %s", len(batch), error)
        else:
            if not self._send(frame):
                buffer.dropped += max(0, len(batch) + len(records) - WAITING)
                records.extendleft(reversed(batch))
                return False
        return True

    def _report_after(self, seconds: float) -> None:
        due = self._loop.time() + seconds
        self._metrics = self._loop.call_at(due, self._report, due)

    def _report(self, due: float) -> None:
        """Tell what the process uses; how late this comes is the lag of the loop."""
        name, worker_id = self._worker
        if self._gauges is not None and (worker := worker_id()) is not None:
            of = {"worker.id": worker, "worker.name": name}
            measured = self._gauges.measure(self._loop.time() - due)
            gauges = [gauge(key, unit, number, of) for key, (unit, number) in measured.items()]
            self._send(otlp.metrics_frame(self.resource, gauges))
        self._report_after(self.settings.metrics_interval)

    def close(self) -> None:
        """Send what waits, if it can be sent at once, and end."""
        if self._closed:
            return
        self._last(self.spans)
        self._last(self.logs)
        self._closed = True
        if self._metrics is not None:
            self._metrics.cancel()

    def _last(self, buffer: Buffer[T]) -> None:
        while buffer.records and self._send_batch(buffer):
            pass
        if buffer.timer is not None:
            buffer.timer.cancel()
