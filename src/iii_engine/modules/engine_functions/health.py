"""`engine::health::check`."""

from __future__ import annotations

from msgspec import Struct

from iii_engine.modules.base import RUNNING, Host
from iii_engine.modules.component import DISABLED, Component
from iii_engine.storage.base import StoreError
from iii_engine.version import VERSION


class Health(Struct):
    """`timestamp` is in milliseconds since the epoch."""

    status: str
    components: dict[str, Component]
    timestamp: int
    version: str


def check_health(host: Host) -> Health:
    """How the engine is. Parts that are not loaded are `disabled`, which is not a problem."""
    components = dict.fromkeys(("otel", "metrics", "logs", "spans"), DISABLED)
    for module in host.modules.values():
        components |= module.components()
    components |= {
        "modules": _modules(host),
        "config": _config(host),
        "storage": _storage(host),
    }
    degraded = any(component.status == "degraded" for component in components.values())
    return Health(
        "degraded" if degraded else "healthy",
        components,
        host.engine.clock.now_ns() // 1_000_000,
        VERSION,
    )


def _modules(host: Host) -> Component:
    """Each module with how it is."""
    statuses = {name: module.status() for name, module in host.modules.items()}
    well = all(status == RUNNING for status in statuses.values())
    return Component("healthy" if well else "degraded", {**statuses})


def _config(host: Host) -> Component:
    if host.config_problem is not None:
        return Component("degraded", {"error": host.config_problem})
    return Component("healthy", {})


def _storage(host: Host) -> Component:
    if host.store.problem is not None:
        return Component("degraded", {"error": host.store.problem})
    try:
        spaces = host.store.read(lambda transaction: len(transaction.spaces()))
    except StoreError as error:
        return Component("degraded", {"error": str(error)})
    return Component("healthy", {"spaces": spaces})
