"""A process that ends the commands when the engine is killed and cannot do it itself.

It is a shell that reads the engine's groups from a pipe. When the engine is gone, however that
came about, the pipe ends, and the guardian ends the groups that were named last. It is in a
session of its own, so that what is sent to the engine's group does not reach it.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Iterable
from typing import Final

log = logging.getLogger("iii.exec")

_SCRIPT: Final = """
trap '' HUP INT TERM
groups=
while read -r line; do groups=$line; done
test -n "$groups" || exit 0
for group in $groups; do kill -s TERM -- "-$group"; done
sleep 3
for group in $groups; do kill -s KILL -- "-$group"; done
"""


class Guardian:
    """Knows which process groups must not outlive the engine."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self._pipe = -1

    async def start(self) -> None:
        """Raises `OSError`."""
        reading, self._pipe = os.pipe()
        os.set_blocking(self._pipe, False)
        try:
            self._process = await asyncio.create_subprocess_exec(
                "sh",
                "-c",
                _SCRIPT,
                stdin=reading,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
                start_new_session=True,
            )
        except BaseException:
            os.close(self._pipe)
            raise
        finally:
            os.close(reading)

    def watch(self, groups: Iterable[int]) -> None:
        """These groups from now on, and no others. It knows them when this returns."""
        if self._process is not None:
            try:
                os.write(self._pipe, " ".join(map(str, groups)).encode() + b"\n")
            except OSError as error:  # somebody ended it, or it stands still
                log.error("commands may outlive an engine that is killed: %s", error)

    async def stop(self) -> None:
        """Let it go; nothing is left to be watched."""
        if self._process is None:
            return
        self.watch(())
        os.close(self._pipe)
        await self._process.wait()
        self._process = None
