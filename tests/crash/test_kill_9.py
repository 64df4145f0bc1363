"""The engine killed under load, again and again: what it acknowledged is there afterwards.

`make crash` runs 50 rounds. `CRASH_ROUNDS` says how many, `CRASH_SEED` repeats the moments.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.crash.link import Link
from tests.crash.writers import Counter, Outbox, Publisher, Setter, Transactor, Writer
from tests.support.engine import EngineProcess
from tests.support.waiting import until

ROUNDS = int(os.environ.get("CRASH_ROUNDS", "5"))
LINKS = 8


def everybody() -> list[Writer]:
    """64 writers."""
    return [
        *(Setter(f"set-{n}") for n in range(32)),
        *(Counter(f"count-{n}") for n in range(8)),
        *(Publisher(f"publish-{n}") for n in range(8)),
        *(Transactor(f"transact-{n}") for n in range(8)),
        *(Outbox(f"outbox-{n}") for n in range(8)),
    ]


@pytest.mark.promise(
    "Data",
    "What was acknowledged is on disk: `kill -9` under 64 writers loses none of it.",
)
@pytest.mark.promise(
    "Data",
    "A record, an item of a stream and a job in one transaction: all or nothing under `kill -9`.",
)
@pytest.mark.timeout(60 + 15 * ROUNDS)
async def test_kill_9_under_64_writers_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    seed = int(os.environ.get("CRASH_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"CRASH_SEED={seed}")
    chance, began = random.Random(seed), time.monotonic()
    writers = everybody()
    engine = EngineProcess(tmp_path)
    try:
        for number in range(ROUNDS):
            engine.start()
            await verify(engine, writers)
            before = total(writers)
            await killed_while_writing(engine, writers, chance.uniform(0.0, 0.8))
            print(f"round {number + 1}: {total(writers) - before} acknowledged, then kill -9")
        engine.start()
        await verify(engine, writers)
    finally:
        engine.close()
    seconds = time.monotonic() - began
    print(f"{ROUNDS} kills, {total(writers):,} changes, none lost, {seconds:.1f} s")


async def killed_while_writing(
    engine: EngineProcess, writers: Sequence[Writer], seconds: float
) -> None:
    """Kill the engine this long after all have written; answers still on their way count."""
    links = [await Link.open(engine.url) for _ in range(LINKS)]
    for number, writer in enumerate(writers):
        writer.write(links[number % LINKS])
    await until(lambda: all(writer.acknowledged for writer in writers))
    await asyncio.sleep(seconds)
    engine.kill()
    for link in links:
        await link.ended()


async def verify(engine: EngineProcess, writers: Sequence[Writer]) -> None:
    link = await Link.open(engine.url)
    for writer in writers:
        await writer.verify(link)
    link.close()


def total(writers: Sequence[Writer]) -> int:
    return sum(writer.acknowledged for writer in writers)
