"""A part of the module: traces, logs, metrics, alerts, an exporter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from iii_engine.modules.component import Component

if TYPE_CHECKING:
    from iii_engine.modules.observability.module import ObservabilityModule
    from iii_engine.modules.observability.settings import Settings


class Part:
    """Made when the module starts; `module` has `telemetry`, `engine`, `host` and `offer`."""

    def __init__(self, module: ObservabilityModule) -> None:
        self.module = module
        self.telemetry = module.telemetry

    async def start(self) -> None:
        """Offer functions and trigger types, begin to watch. The settings are `telemetry`'s."""

    async def use(self, settings: Settings) -> None:
        """The settings changed; `telemetry.settings` are the new ones already."""

    async def stop(self) -> None:
        """End what `start` began; functions and types are taken back by the module."""

    def components(self) -> dict[str, Component]:
        """What `engine::health::check` shows of this part."""
        return {}
