"""`engine::health::check`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from msgspec import Struct

from iii_engine.core.router import Call
from iii_engine.core.turns import Pieces
from iii_engine.modules.base import RUNNING, Host, answering
from iii_engine.modules.component import DISABLED, Component
from iii_engine.modules.pieces import paced
from iii_engine.storage.base import Transaction
from iii_engine.version import VERSION

#: Spaces of the store that are counted in one piece.
SPACES: Final = 1000


class Health(Struct):
    """`timestamp` is in milliseconds since the epoch."""

    status: str
    components: dict[str, Component]
    timestamp: int
    version: str


def checking(host: Host) -> Callable[[Call], None]:
    """A handler that answers how the engine is. The store's spaces may be very many to count."""

    def handler(call: Call) -> None:
        def counted(spaces: int | None, error: BaseException | None) -> None:
            answer = answering(lambda _: check_health(host, error if spaces is None else spaces))
            answer(call)

        host.store.browse(_count, counted)

    return handler


def _count(transaction: Transaction) -> Pieces[int]:
    number = 0
    for name in paced(transaction.names(), SPACES):
        if name is None:
            yield
        else:
            number += 1
    return number


def check_health(host: Host, spaces: int | BaseException | None) -> Health:
    """How the engine is. Parts that are not loaded are `disabled`, which is not a problem.

    `spaces` are those of the store, or why they cannot be counted.
    """
    components = dict.fromkeys(("otel", "metrics", "logs", "spans"), DISABLED)
    for module in host.modules.values():
        components |= module.components()
    components |= {
        "modules": _modules(host),
        "config": _config(host),
        "storage": _storage(host, spaces),
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


def _storage(host: Host, spaces: int | BaseException | None) -> Component:
    if host.store.problem is not None:
        return Component("degraded", {"error": host.store.problem})
    if not isinstance(spaces, int):
        return Component("degraded", {"error": str(spaces)})
    if host.store.replaced is not None:  # until the next start: somebody has to look
        return Component("degraded", {"error": host.store.replaced, "spaces": spaces})
    return Component("healthy", {"spaces": spaces})
