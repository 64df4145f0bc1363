"""`iii-observability`: spans, logs and metrics of the engine and its workers."""

from __future__ import annotations

import os
from typing import Final

from iii_engine.core.engine import ignore_telemetry
from iii_engine.modules.base import Host, Module
from iii_engine.modules.component import DISABLED, Component, Detail
from iii_engine.modules.observability.alerts.part import AlertsPart
from iii_engine.modules.observability.alerts.rules import read_rules
from iii_engine.modules.observability.export.part import ExportPart
from iii_engine.modules.observability.logs.part import LogsPart
from iii_engine.modules.observability.metrics.part import MetricsPart
from iii_engine.modules.observability.metrics.prometheus import PrometheusPart, check_path
from iii_engine.modules.observability.options import ObservabilityOptions
from iii_engine.modules.observability.part import Part
from iii_engine.modules.observability.rollups.part import RollupsPart
from iii_engine.modules.observability.settings import resolve
from iii_engine.modules.observability.spans.part import TracesPart
from iii_engine.modules.observability.telemetry import Telemetry
from iii_sdk.errors import BusError

#: What the module consists of, in the order of start.
PARTS: Final[tuple[type[Part], ...]] = (
    TracesPart,
    LogsPart,
    MetricsPart,
    RollupsPart,
    AlertsPart,
    PrometheusPart,
    ExportPart,
)


class ObservabilityModule(Module[ObservabilityOptions]):
    """Keeps nothing for longer than its retention, and nothing over a restart of the engine."""

    kind = "iii-observability"
    Options = ObservabilityOptions

    def __init__(self, name: str, options: ObservabilityOptions, host: Host) -> None:
        super().__init__(name, options, host)
        self.telemetry = Telemetry(host.engine, resolve(options, os.environ), host.loop)
        self._parts = [part(self) for part in PARTS]
        self._started: list[Part] = []

    @classmethod
    def check(cls, options: ObservabilityOptions) -> None:
        read_rules(options.alerts)
        check_path(options)

    async def start(self) -> None:
        if any(module.kind == self.kind for module in self.host.modules.values()):
            raise BusError(f"there can be one {self.kind} only", code="duplicate_module")
        self.telemetry.use(self.telemetry.settings)
        for part in self._parts:
            await part.start()
            self._started.append(part)
        self.engine.on_telemetry = self.telemetry.intake.take

    async def reconfigure(self, options: ObservabilityOptions) -> bool:
        """In place, but for `enabled`: that decides what is offered at all."""
        settings = resolve(options, os.environ)
        if settings.enabled != self.telemetry.settings.enabled:
            return False
        self.telemetry.use(settings)
        for part in self._parts:
            await part.use(settings)
        self.options = options
        return True

    def components(self) -> dict[str, Component]:
        found = {"otel": self._otel()}
        for part in self._parts:
            found |= part.components()
        return found

    def _otel(self) -> Component:
        settings = self.telemetry.settings
        if not settings.enabled:
            return DISABLED
        details: dict[str, Detail] = {
            "enabled": True,
            "service_name": settings.service_name,
            "exporter": settings.exporter,
        }
        return Component("healthy", details)

    async def stop(self) -> None:
        if self.engine.on_telemetry == self.telemetry.intake.take:  # not if another one has it
            self.engine.on_telemetry = ignore_telemetry
        self.telemetry.intake.stop()
        while self._started:
            await self._started.pop().stop()
        await super().stop()
