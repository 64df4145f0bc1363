"""Programs that stand still at random moments, as they do on a machine that is too busy.

Meanwhile those that write to them fill the buffers of the kernel, and their own, and must go on
when there is room again.
"""

from __future__ import annotations

import random
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from benchmarks.processes import Program

#: How long one of them runs and stands still, at least and at most, in seconds.
RUNNING = (0.005, 0.05)
STANDING = (0.001, 0.1)


@contextmanager
def stopped_at_times(programs: Sequence[Program]) -> Iterator[None]:
    """Stop one of them after the other for a moment, until the block ends."""
    over = threading.Event()

    def disturb() -> None:
        chance = random.Random()
        while not over.wait(chance.uniform(*RUNNING)):
            program = chance.choice(programs)
            program.signal(signal.SIGSTOP)
            over.wait(chance.uniform(*STANDING))
            program.signal(signal.SIGCONT)

    thread = threading.Thread(target=disturb)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
