"""Notices that watched files were made, changed, renamed or removed.

The files are looked at instead of being watched by the kernel: the same on every system and file
system, without a limit on the number of directories. Looking costs at most `MAX_SHARE` of one
processor: the larger the tree, the rarer the looks.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from iii_engine.modules.exec.patterns import Pattern
from iii_engine.modules.exec.tree import Snapshot, snapshot

log = logging.getLogger("iii.exec")

LOOK_SECONDS: Final = 0.25
#: How long the files must stay as they are before a change is reported.
SETTLE_SECONDS: Final = 0.3
MAX_SHARE: Final = 0.05


class Watcher:
    """Calls `changed` once after each burst of changes, in the event loop, until stopped."""

    def __init__(self, patterns: Sequence[Pattern], changed: Callable[[], None]) -> None:
        self._patterns = patterns
        self._changed = changed
        self._stopping = asyncio.Event()
        #: Looks that came to an end.
        self.looks = 0
        self._blind = False  # the latest look failed
        #: Seconds until the next look that the cost of the last one asks for.
        self.pause = 0.0
        self._task = asyncio.get_running_loop().create_task(self._follow())

    async def stop(self) -> None:
        self._stopping.set()
        await self._task

    async def _follow(self) -> None:
        known = await self._look()
        while not await self._stopped_within(LOOK_SECONDS):
            now = await self._look()
            if now is None:
                continue
            if known is None or now == known:
                known = now
                continue
            first = known
            while now != known and not await self._stopped_within(SETTLE_SECONDS):
                latest = await self._look()
                known, now = now, now if latest is None else latest
            if not self._stopping.is_set():
                log.info("%s changed", _described(first, known))
                self._tell()

    def _tell(self) -> None:
        try:
            self._changed()
        except Exception:
            log.exception("what follows a change of files failed")

    async def _look(self) -> Snapshot | None:
        """In a thread: walking a large tree takes a while. None when it failed."""
        try:
            files, seconds = await asyncio.to_thread(self._timed)
        except Exception:
            if not self._blind:
                log.exception("the watched files cannot be looked at; this is tried again")
            self._blind = True
            return None
        self._blind = False
        self.pause = seconds / MAX_SHARE
        self.looks += 1
        return files

    def _timed(self) -> tuple[Snapshot, float]:
        began = time.thread_time()
        return snapshot(self._patterns, self._stopping.is_set), time.thread_time() - began

    async def _stopped_within(self, seconds: float) -> bool:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), max(seconds, self.pause))
        return self._stopping.is_set()


def _described(before: Snapshot, after: Snapshot) -> str:
    """The first of the files that differ, and how many others do."""
    paths = [path for path in {**before, **after} if before.get(path) != after.get(path)]
    if not paths:
        return "files"  # as they were before, by now
    others = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
    return min(paths) + others
