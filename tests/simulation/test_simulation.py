"""Seeded runs of the real core in virtual time: nothing lost, nothing twice, everything in order.

`SIMULATION_SEED` replays one run; `make simulate` makes many.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from tests.simulation.disk_scenario import DiskScenario
from tests.simulation.queue_book import Fate
from tests.simulation.queue_scenario import QueueScenario
from tests.simulation.scenario import Scenario

PARTS, RUNS = 4, 14
RECONNECTS = 2000


def seeds(part: int, runs: int) -> range:
    """Always the same, or the one to replay."""
    if (wanted := os.environ.get("SIMULATION_SEED")) is not None:
        return range(int(wanted), int(wanted) + 1)
    return range(part * runs, (part + 1) * runs)


@pytest.mark.promise(
    "Connections",
    "A worker that reconnects never loses a function or a trigger.",
)
@pytest.mark.parametrize("part", range(PARTS))
def test_2000_staged_reconnects(part: int) -> None:
    outcomes = [Scenario(seed).run() for seed in seeds(part, RUNS)]
    if len(outcomes) == RUNS:
        assert sum(outcome.reconnects for outcome in outcomes) >= RECONNECTS / PARTS
        assert sum(outcome.answered for outcome in outcomes) > 5000


@pytest.mark.promise(
    "Data",
    "A commit that fails acknowledges nothing, and nothing of it is seen later.",
)
def test_what_the_disk_acknowledged_is_kept_and_what_it_refused_never_shows() -> None:
    outcomes = [DiskScenario(seed).run() for seed in seeds(0, 60)]
    if len(outcomes) == 60:
        assert min(sum(o.crashes for o in outcomes), sum(o.refused for o in outcomes)) > 100
        assert sum(o.acknowledged for o in outcomes) > 1000


@pytest.mark.promise(
    "Queues",
    "A job whose receipt came is handled, or is in the dead letters, of which the newest "
    "`dead_letter_max` are kept: what is dropped is counted, and told in the log.",
)
@pytest.mark.promise("Queues", "A FIFO group runs in order, across retries and restarts.")
def test_queues_lose_nothing_that_was_acknowledged_and_keep_the_order_of_groups() -> None:
    outcomes = [QueueScenario(seed).run() for seed in seeds(0, 60)]
    if len(outcomes) == 60:
        refused = sum(o.count(Fate.REFUSED) for o in outcomes)
        assert min(sum(o.crashes for o in outcomes), refused) > 100
        assert sum(o.handled for o in outcomes) > 1000
        steps = [o.operator for o in outcomes]
        assert sum(o.count(Fate.DUPLICATE) for o in outcomes) > 50
        assert min(sum(o.cancelled for o in steps), sum(o.paused for o in steps)) > 50
        assert sum(o.redriven for o in steps) > 20


def test_a_seed_replays_in_another_process() -> None:
    def history(hash_seed: str) -> str:
        command = [sys.executable, "-m", "tests.simulation", "2", "7"]
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, check=True
        ).stdout.rpartition(" ")[2]

    assert history("1") == history("2")
