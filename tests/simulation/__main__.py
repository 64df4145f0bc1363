"""`python -m tests.simulation [RUNS] [FIRST SEED]`: many runs, each of its own seed.

Ends with 1 and the history at the first seed that breaks something.
"""

from __future__ import annotations

import logging
import random
import sys
import time

from tests.simulation.disk_scenario import DiskScenario
from tests.simulation.queue_book import Fate
from tests.simulation.queue_scenario import QueueScenario
from tests.simulation.scenario import Scenario
from tests.simulation.world import Violation


def main(runs: int, first: int) -> int:
    logging.disable()  # workers that die are what this is about
    print(f"seeds from {first}")
    reconnects = calls = events = changes = jobs = 0
    began = time.monotonic()
    for seed in range(first, first + runs):
        try:
            outcome = Scenario(seed).run()
            changes += DiskScenario(seed).run().acknowledged
            jobs += QueueScenario(seed).run().count(Fate.STORED)
        except Violation as problem:
            print(problem, file=sys.stderr)
            return 1
        reconnects += outcome.reconnects
        calls += outcome.calls
        events += outcome.events
    print(
        f"{runs} runs, {reconnects:,} reconnects, {calls:,} calls, {events:,} events, "
        f"{changes:,} changes and {jobs:,} jobs on a failing disk: nothing lost, nothing twice, "
        f"{time.monotonic() - began:.1f} s; the last is {outcome.digest[:16]}"
    )
    return 0


if __name__ == "__main__":
    numbers = [int(argument) for argument in sys.argv[1:]]
    runs = numbers[0] if numbers else 500
    first = numbers[1] if len(numbers) > 1 else random.SystemRandom().getrandbits(40)
    sys.exit(main(runs, first))
