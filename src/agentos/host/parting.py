"""Where the hosts of a system wait for each other when it stops."""

from __future__ import annotations

import asyncio
import os


class Parting:
    """One pipe that nobody writes to: every process of the system holds its writing end until the
    work it had begun is over. Who then reads the end of file knows that all are so far, those that
    died included.
    """

    def __init__(self) -> None:
        self._read, self._write = os.pipe()

    def ready(self) -> None:
        """This process has nothing under way any more; harmless twice."""
        if self._write >= 0:
            os.close(self._write)
            self._write = -1

    async def everybody(self, seconds: float) -> bool:
        """Wait until all are ready, or for this long; whether they are."""
        self.ready()
        loop = asyncio.get_running_loop()
        all_ready = asyncio.Event()
        loop.add_reader(self._read, all_ready.set)
        try:
            await asyncio.wait_for(all_ready.wait(), seconds)
        except TimeoutError:
            return False
        finally:
            loop.remove_reader(self._read)
        return True

    def close(self) -> None:
        """Give up both ends."""
        self.ready()
        os.close(self._read)
