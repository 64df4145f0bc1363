"""The stores of the module, and who the records are of."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from iii_engine.core.engine import Engine
from iii_engine.core.spans import Resource
from iii_engine.modules.observability.frames.intake import Intake
from iii_engine.modules.observability.logs.console import echo
from iii_engine.modules.observability.logs.record import LogRecord
from iii_engine.modules.observability.logs.store import LogStore
from iii_engine.modules.observability.metrics.store import MetricStore
from iii_engine.modules.observability.resource import engine_resource
from iii_engine.modules.observability.settings import Settings
from iii_engine.modules.observability.spans.sampling import make_sampler

#: Records of spans that may wait for an exporter, beside those that queries see.
EXPORT_BUFFER: Final = 16_384


class Telemetry:
    """What is known. Spans are in the engine's ring (`engine.spans`), where calls leave them.

    What workers send arrives through `intake`.
    """

    def __init__(self, engine: Engine, settings: Settings, loop: asyncio.AbstractEventLoop) -> None:
        self._instance_id = engine.ids.uuid()
        self.engine = engine
        self.spans = engine.spans
        self.logs = LogStore(engine.clock)
        self.metrics = MetricStore(engine.clock)
        self.resource: Resource
        #: They apply when they were given to `use`.
        self.settings = settings
        self.intake = Intake(self, loop)

    def use(self, settings: Settings) -> None:
        """Let these apply from now on."""
        self.settings = settings
        self.resource = engine_resource(settings, self._instance_id)
        self.sampler = make_sampler(settings, self.engine.clock.monotonic_ns)
        self.engine.trace(self.sampler, enabled=settings.enabled)
        spare = EXPORT_BUFFER if settings.exporter != "memory" else 0
        self.engine.keep_spans(settings.memory_max_spans, spare)
        self.logs.use(settings)
        self.metrics.use(settings)

    def take_logs(self, records: Sequence[LogRecord]) -> None:
        """Store records of workers, and show them among the engine's own lines."""
        self.logs.take(records)
        if self.settings.logs_enabled and self.settings.logs_console_output:
            for record in records:
                echo(record)
