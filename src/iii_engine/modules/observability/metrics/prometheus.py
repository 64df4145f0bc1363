"""The page for Prometheus, on the listeners of workers."""

from __future__ import annotations

from typing import Final

from iii_engine.modules.observability.metrics.exposition import CONTENT_TYPE, exposition
from iii_engine.modules.observability.options import ObservabilityOptions
from iii_engine.modules.observability.part import Part
from iii_engine.modules.observability.settings import Settings
from iii_sdk.errors import BusError

#: Paths of the listener that mean something else.
_TAKEN: Final = ("/", "/otel", "/health")


def check_path(options: ObservabilityOptions) -> None:
    """Raises `BusError` for a path that cannot be a page."""
    path = options.prometheus_path
    if not path:
        return
    if not path.startswith("/") or "?" in path:
        raise BusError(
            f"config.prometheus_path: `{path}` is no path: it begins with `/` and has no `?`",
            code="invalid_config",
        )
    if path in _TAKEN or path.startswith("/ws/"):
        raise BusError(f"config.prometheus_path: `{path}` is taken", code="invalid_config")


class PrometheusPart(Part):
    """Offers the page while metrics are on. It is made when somebody asks for it."""

    async def start(self) -> None:
        self._path: str | None = None
        await self.use(self.telemetry.settings)

    async def use(self, settings: Settings) -> None:
        await self.stop()
        self._path = settings.prometheus_path if settings.metrics_enabled else None
        if self._path is not None:
            self.module.host.pages[self._path] = self._page

    async def stop(self) -> None:
        if self._path is not None:
            del self.module.host.pages[self._path]
            self._path = None

    def _page(self) -> tuple[str, bytes]:
        store = self.telemetry.metrics
        store.forget_old()
        return CONTENT_TYPE, exposition(self.module.engine.meters.collect(), store.series)
