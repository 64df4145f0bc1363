"""What the house says about itself: models, health, costs."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from msgspec import Struct

from agentos.workers.api.openai_format import AGENT_PREFIX
from iii_sdk import Bus, BusError, NotFound

_STARTED: Final = time.monotonic()
_NANOS: Final = 1_000_000_000


class Model(Struct):
    """A model in OpenAI's form."""

    id: str
    owned_by: str
    object: str = "model"
    created: int = 0


class ModelList(Struct):
    """All models."""

    data: list[Model]
    object: str = "list"


class Health(Struct, omit_defaults=True):
    """`uptime` is in seconds; without the key only `status` is told."""

    status: str
    version: str | None = None
    workers: int | None = None
    uptime: float | None = None


class _Entry(Struct):
    id: str
    provider: str = "unknown"


class _Agent(Struct):
    id: str


class _Workers(Struct):
    workers: list[object]


def agentos_version() -> str:
    """The version of the installed package."""
    try:
        return version("agentos")
    except PackageNotFoundError:
        return "0.0.0"


async def models(bus: Bus) -> ModelList:
    """The catalogue's models and every agent as `agent:<id>`."""
    try:
        entries = await bus.call("catalog::models", {}, kind=list[_Entry])
    except BusError as error:
        if error.code != "function_not_found":
            raise
        entries = []
    agents = await bus.state.list("agents", _Agent)
    return ModelList(
        data=[Model(entry.id, entry.provider) for entry in entries]
        + [Model(f"{AGENT_PREFIX}{agent.id}", "agentos") for agent in agents]
    )


async def model(bus: Bus, model_id: str) -> Model:
    """One model. Raises `NotFound`."""
    for found in (await models(bus)).data:
        if found.id == model_id:
            return found
    raise NotFound(f"The model '{model_id}' does not exist")


async def health(bus: Bus) -> Health:
    """The healthy answer; a failing list of workers counts none."""
    try:
        listed = await bus.call("engine::workers::list", {}, kind=_Workers | list[object])
        workers = len(listed if isinstance(listed, list) else listed.workers)
    except BusError:
        workers = 0
    uptime = max(0.001, round(time.monotonic() - _STARTED, 3))
    return Health("healthy", agentos_version(), workers, uptime)


async def costs_today(bus: Bus) -> dict[str, object]:
    """Today's cost record (UTC) with `totalCost` in USD.

    Amounts are counted in whole nano-dollars; an older record may hold a float besides.
    """
    record = await bus.state.get("costs", f"{datetime.now(UTC):%Y-%m-%d}", dict[str, object])
    record = record or {}
    nanos, dollars = record.get("totalCostNanos"), record.get("totalCost")
    total = nanos / _NANOS if isinstance(nanos, int | float) else 0
    total += dollars if isinstance(dollars, int | float) else 0
    return {**record, "totalCost": total}
