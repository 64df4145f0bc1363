"""A process that ends the commands when the engine is killed and cannot do it itself.

It is a shell that reads the engine's groups from a pipe. When the engine is gone, however that
came about, the pipe ends, and the guardian ends the groups that were named last. It is in a
session of its own, so that what is sent to the engine's group does not reach it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

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

    async def start(self) -> None:
        """Raises `OSError`."""
        self._process = await asyncio.create_subprocess_exec(
            "sh",
            "-c",
            _SCRIPT,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )

    def watch(self, groups: Iterable[int]) -> None:
        """These groups from now on, and no others."""
        if self._process is not None:
            assert self._process.stdin is not None
            self._process.stdin.write(" ".join(map(str, groups)).encode() + b"\n")

    async def stop(self) -> None:
        """Let it go; nothing is left to be watched."""
        if self._process is None:
            return
        self.watch(())
        assert self._process.stdin is not None
        self._process.stdin.close()
        with suppress(ConnectionError):
            await self._process.stdin.wait_closed()
        await self._process.wait()
        self._process = None
