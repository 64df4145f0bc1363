"""Our SDK on both ends. `python -m benchmarks.sdk_ours worker|caller URL`."""

from __future__ import annotations

import sys
from typing import Any

from msgspec import Struct

from benchmarks.driving import ECHO_TEXT, drive
from iii_sdk import Bus, Worker


class Drive(Struct):
    inflight: int
    seconds: float


class Speed(Struct):
    per_second: float


class Key(Struct):
    id: str


worker = Worker("bench-worker", description="What the benchmark calls")
caller = Worker("bench-caller", description="Calls it")


@worker.function("ours::echo")
async def echo(data: dict[str, Any]) -> dict[str, Any]:
    """Give back what came."""
    return data


@worker.function("ours::get")
async def get(request: Key, bus: Bus) -> dict[str, Any] | None:
    """Read one key of the state."""
    return await bus.state.get("bench", request.id, dict[str, Any])


@caller.function("ours::drive")
async def driven(request: Drive, bus: Bus) -> Speed:
    """Keep calls in flight and count the answers."""

    async def call() -> object:
        return await bus.call("ours::echo", ECHO_TEXT)

    return Speed(await drive(call, request.inflight, request.seconds))


if __name__ == "__main__":
    (worker if sys.argv[1] == "worker" else caller).run(sys.argv[2])
