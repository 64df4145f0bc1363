"""The stores of the module, and who the records are of."""

from __future__ import annotations

from iii_engine.core.engine import Engine
from iii_engine.modules.observability.logs.store import LogStore
from iii_engine.modules.observability.metrics.store import MetricStore
from iii_engine.modules.observability.resource import Resource, engine_resource
from iii_engine.modules.observability.settings import Settings


class Telemetry:
    """Spans are in the engine's ring (`engine.spans`), where calls leave them."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self._instance_id = engine.ids.uuid()
        self.engine = engine
        self.spans = engine.spans
        self.logs = LogStore()
        self.metrics = MetricStore(engine.clock)
        self.resource: Resource
        self.settings: Settings
        self.use(settings)

    def use(self, settings: Settings) -> None:
        """Let these apply from now on."""
        self.settings = settings
        self.resource = engine_resource(settings, self._instance_id)
        self.logs.use(settings)
        self.metrics.use(settings)
