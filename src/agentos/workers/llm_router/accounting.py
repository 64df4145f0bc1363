"""Counting: tokens per provider and model, money per day. In memory and, summed up, in state."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol

from agentos.workers.llm_router.catalogue import Catalogue
from agentos.workers.llm_router.conversation import Reply
from agentos.workers.llm_router.pricing import cost_nanos, known_elsewhere, priced_row
from agentos.workers.llm_router.requests import UsageRow

USAGE_SCOPE = "llm_usage"
COSTS_SCOPE = "costs"


class Outlet(Protocol):
    """The part of the bus that counting needs."""

    def send(self, function_id: str, data: object = None) -> None:
        """Call a function without waiting for it."""


class Accounts:
    """Counters since process start; every completion also adds to the records in state."""

    def __init__(
        self, catalogue: Catalogue, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._catalogue = catalogue
        self._now = now
        self._rows: dict[str, UsageRow] = {}

    async def record(self, provider: str, model: str, reply: Reply, bus: Outlet) -> None:
        """Add one successful completion."""
        key = f"{provider}:{model}"
        row = self._rows.setdefault(key, UsageRow(provider, model))
        row.input_tokens += reply.usage.input
        row.output_tokens += reply.usage.output
        row.requests += 1
        counts = {
            "input_tokens": reply.usage.input,
            "output_tokens": reply.usage.output,
            "requests": 1,
        }
        names = [_set("provider", provider), _set("model", model)]
        _update(bus, USAGE_SCOPE, key, names + [_add(name, by) for name, by in counts.items()])
        nanos = await self._cost(provider, model, reply)
        if nanos is not None:
            sums = {f"{model}.costNanos": nanos, f"{model}.calls": 1}
            sums |= {"totalCostNanos": nanos, "totalCalls": 1}
            day = self._now().strftime("%Y-%m-%d")
            _update(bus, COSTS_SCOPE, day, [_add(name, by) for name, by in sums.items()])

    async def _cost(self, provider: str, model: str, reply: Reply) -> int | None:
        """Nano-USD, or none for a model without a price."""
        provider_id = provider.partition("@")[0]
        row = priced_row(self._catalogue, provider_id, model)
        if row is not None:
            return cost_nanos(row, reply)
        known = self._catalogue.provider(provider_id)
        if known is None or known.local:
            return None
        # The price list takes a while to load the first time.
        return await asyncio.to_thread(known_elsewhere, provider_id, model, reply)

    def rows(self, stored: list[UsageRow]) -> list[UsageRow]:
        """Sums to show. What state holds survives a restart but may lag: the larger one counts."""
        rows = {f"{row.provider}:{row.model}": row for row in stored}
        for key, row in self._rows.items():
            if key not in rows or rows[key].requests < row.requests:
                rows[key] = row
        return list(rows.values())


def _set(path: str, value: object) -> dict[str, object]:
    return {"type": "set", "path": path, "value": value}


def _add(path: str, by: int) -> dict[str, object]:
    return {"type": "increment", "path": path, "by": by}


def _update(bus: Outlet, scope: str, key: str, ops: list[dict[str, object]]) -> None:
    bus.send("state::update", {"scope": scope, "key": key, "ops": ops})
