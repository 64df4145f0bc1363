"""Exporters as a part of the module."""

from __future__ import annotations

from iii_engine.modules.observability.part import Part
from iii_engine.modules.observability.settings import Settings


class ExportPart(Part):
    """Loads the exporters when something is to be exported, which for most engines is never."""

    async def start(self) -> None:
        self._exporters: Part | None = None
        await self.use(self.telemetry.settings)

    async def use(self, settings: Settings) -> None:
        if self._exporters is not None:
            await self._exporters.use(settings)
        elif wants_otlp(settings) or (settings.enabled and settings.exporter != "memory"):
            from iii_engine.modules.observability.export.exporters import Exporters

            exporters = Exporters(self.module)
            await exporters.start()
            self._exporters = exporters

    async def stop(self) -> None:
        if self._exporters is not None:
            await self._exporters.stop()


def wants_otlp(settings: Settings) -> bool:
    """Whether anything is exported by OTLP."""
    return (
        (settings.enabled and settings.exporter in ("otlp", "both"))
        or (settings.logs_enabled and settings.logs_exporter != "memory")
        or (settings.metrics_enabled and settings.metrics_exporter == "otlp")
    )
