"""The exporters: which there are depends on the settings."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Sequence
from functools import partial
from typing import Final

from iii_engine.core.meters import Reading
from iii_engine.core.spans import Scope
from iii_engine.core.timers import Timer
from iii_engine.core.tracing import Recorded
from iii_engine.modules.observability.export import metrics
from iii_engine.modules.observability.export.encoding import encoder
from iii_engine.modules.observability.export.endpoint import Signal, read_endpoint
from iii_engine.modules.observability.export.lines import span_lines
from iii_engine.modules.observability.export.logs import logs_request
from iii_engine.modules.observability.export.messages import MetricsRequest
from iii_engine.modules.observability.export.pipeline import Pipeline
from iii_engine.modules.observability.export.sender import Sender
from iii_engine.modules.observability.export.spans import traces_request
from iii_engine.modules.observability.logs.record import LogRecord
from iii_engine.modules.observability.metrics.metric import Metric
from iii_engine.modules.observability.part import Part
from iii_engine.modules.observability.settings import Settings
from iii_engine.modules.observability.telemetry import EXPORT_BUFFER
from iii_engine.net.client.client import Client
from iii_engine.version import VERSION

log = logging.getLogger("iii.export")

#: Whose spans and metrics those of the engine are.
SCOPE: Final = Scope("iii", VERSION)
#: How often new spans are taken from the ring, in seconds, and how many leave together.
SPANS_SECONDS: Final = 0.5
SPANS_BATCH: Final = 2048
#: How often the engine's instruments are sent, and how soon reports of workers are.
METRICS_SECONDS: Final = 60.0
REPORTS_SECONDS: Final = 5.0
REPORTS_BATCH: Final = 512
#: What the end of the engine may be late by, because of what is still to be sent.
FLUSH_SECONDS: Final = 3.0


class Exporters(Part):
    """Follows spans, logs and metrics, and hands them to a pipeline each."""

    async def start(self) -> None:
        self._engine = self.module.engine
        self._start_ns = self._engine.clock.now_ns()
        self._dropped = self._engine.meters.counter(
            "iii.telemetry.dropped", ("signal",), description="Records that were not exported"
        )
        self._client = Client(self.module.host.loop)
        self._settings = self.telemetry.settings
        self._open(self._settings, self._sender(self._settings))

    async def use(self, settings: Settings) -> None:
        """When settings change that matter here, what waits goes to where it was meant for."""
        if _matters(settings) != _matters(self._settings):
            sender = self._sender(settings)
            await self._close()
            self._open(settings, sender)

    async def stop(self) -> None:
        await self._close()
        self._client.close()

    def _open(self, settings: Settings, sender: Sender | None) -> None:
        self._settings = settings
        self._spans: Pipeline[Recorded] | None = None
        self._logs: Pipeline[LogRecord] | None = None
        self._metrics: Pipeline[Metric | tuple[int, list[Reading]]] | None = None
        self._timers: dict[str, Timer] = {}
        if settings.enabled and settings.exporter != "memory":
            self._open_spans(None if settings.exporter == "stdout" else sender)
        if sender is not None and settings.logs_enabled and settings.logs_exporter != "memory":
            self._logs = Pipeline(
                partial(self._send_logs, sender),
                partial(self._drop, "logs"),
                batch=settings.logs_batch_size,
                interval=settings.logs_flush_interval_ms / 1000,
            )
            self.telemetry.logs.listeners.append(self._logs.offer)
        if sender is not None and settings.metrics_enabled and settings.metrics_exporter == "otlp":
            self._metrics = Pipeline(
                partial(self._send_metrics, sender),
                partial(self._drop, "metrics"),
                batch=REPORTS_BATCH,
                interval=REPORTS_SECONDS,
            )
            self.telemetry.metrics.listeners.append(self._metrics.offer)
            self._later("metrics", METRICS_SECONDS)

    def _open_spans(self, sender: Sender | None) -> None:
        """Follow the ring from its newest record on; without a sender they are printed."""
        self._spans = Pipeline(
            self._print if sender is None else partial(self._send_spans, sender),
            partial(self._drop, "traces"),
            batch=SPANS_BATCH,
            interval=SPANS_SECONDS,
        )
        self._mark = self.telemetry.spans.newest
        self._seen = self._engine.router.counters.total
        self._later("spans", SPANS_SECONDS)

    def _sender(self, settings: Settings) -> Sender | None:
        """None when nothing goes out by OTLP. Raises `BusError` for settings that cannot work."""
        if not settings.wants_otlp:
            return None
        endpoint = read_endpoint(settings.endpoint, settings.otlp_headers)
        log.info(
            "exporting to %s by OTLP (%s)%s",
            endpoint.shown,
            settings.otlp_protocol,
            f": {endpoint.note}" if endpoint.note else "",
        )
        protocol = settings.otlp_protocol
        return Sender(self._client, endpoint, protocol, encoder(protocol))

    async def _close(self) -> None:
        """Send what there is, the newest included; bounded in time."""
        for timer in self._timers.values():
            timer.cancel()
        if self._logs is not None:
            self.telemetry.logs.listeners.remove(self._logs.offer)
        if self._metrics is not None:
            self.telemetry.metrics.listeners.remove(self._metrics.offer)
            self._read_meters()
        if self._spans is not None:
            self._follow()
        open = [pipe for pipe in (self._spans, self._logs, self._metrics) if pipe is not None]
        await asyncio.gather(*(pipe.close(FLUSH_SECONDS) for pipe in open))

    # -- what is sent ----------------------------------------------------------------------------

    def _later(self, what: str, seconds: float) -> None:
        self._timers[what] = self._engine.timers.after(seconds, partial(self._tick, what, seconds))

    def _tick(self, what: str, seconds: float) -> None:
        if what == "spans":
            self._follow()
        else:
            self._read_meters()
        self._later(what, seconds)

    def _follow(self) -> None:
        """Take what is new in the ring. When everything there is new, what came before it is
        lost: about as many as there were more calls than there are records."""
        if self._spans is None:
            return
        ring, total = self.telemetry.spans, self._engine.router.counters.total
        newest = ring.newest
        if newest is None or newest is self._mark:
            return
        new = ring.after(self._mark)
        room = self._settings.memory_max_spans + EXPORT_BUFFER
        if len(new) >= room and (lost := total - self._seen - len(new)) > 0:
            self._drop("traces", lost)
        self._mark, self._seen = newest, total
        self._spans.offer(new)

    def _read_meters(self) -> None:
        if self._metrics is not None:
            now_ns = self._engine.clock.now_ns()
            self._metrics.offer([(now_ns, list(self._engine.meters.collect()))])

    def _drop(self, signal: Signal, count: int) -> None:
        self._dropped.add(signal, amount=count)

    # -- how -------------------------------------------------------------------------------------

    async def _print(self, records: Sequence[Recorded]) -> None:
        """In a thread: whoever reads the output may be slow."""
        resource = self.telemetry.resource
        await asyncio.to_thread(lambda: _write(span_lines(records, resource)))

    async def _send_spans(self, sender: Sender, records: Sequence[Recorded]) -> None:
        resource = self.telemetry.resource
        if not await sender.send("traces", lambda: traces_request(records, resource, SCOPE)):
            self._drop("traces", len(records))

    async def _send_logs(self, sender: Sender, records: Sequence[LogRecord]) -> None:
        if not await sender.send("logs", lambda: logs_request(records)):
            self._drop("logs", len(records))

    async def _send_metrics(
        self, sender: Sender, items: Sequence[Metric | tuple[int, list[Reading]]]
    ) -> None:
        resource = self.telemetry.resource

        def make() -> MetricsRequest:
            groups = [
                metrics.of_engine(item[1], resource, SCOPE, self._start_ns, item[0])
                for item in items
                if isinstance(item, tuple)
            ]
            reports = [item for item in items if isinstance(item, Metric)]
            return MetricsRequest(groups + metrics.of_workers(reports))

        if not await sender.send("metrics", make):
            self._drop("metrics", len(items))


def _matters(settings: Settings) -> tuple[object, ...]:
    return (
        settings.enabled,
        settings.exporter,
        settings.endpoint,
        settings.otlp_protocol,
        settings.otlp_headers,
        settings.logs_enabled,
        settings.logs_exporter,
        settings.logs_batch_size,
        settings.logs_flush_interval_ms,
        settings.metrics_enabled,
        settings.metrics_exporter,
    )


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
