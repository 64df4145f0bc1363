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
        elif settings.wants_otlp or (settings.enabled and settings.exporter != "memory"):
            from iii_engine.modules.observability.export.exporters import Exporters

            exporters = Exporters(self.module)
            await exporters.start()
            self._exporters = exporters

    async def stop(self) -> None:
        if self._exporters is not None:
            await self._exporters.stop()
