"""The processes of one command, in a session and process group of their own."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from iii_engine.modules.exec.processes import has_members, send

log = logging.getLogger("iii.exec")

#: What a shell reports of a command that cannot be run.
CANNOT_RUN: Final = 126

#: How often processes that outlive their command are looked at.
LOOK_SECONDS: Final = 1.0


#: Begins with the command when it is told to. When the engine is killed before, it never is.
_GATED: Final = 'read -r _ </dev/fd/%d && exec sh -c "$1"'


class ProcessGroup:
    """`sh -c <command>` with the engine's input, outputs and directory.

    `counted` is called when there is a process, and when none is left; the command does not begin
    before it has returned, so no group is there that nobody knows. `ended` with the exit code
    of the command (128 + signal when one killed it), never before the constructor has returned.
    """

    def __init__(
        self, command: str, counted: Callable[[], None], ended: Callable[[int], None]
    ) -> None:
        #: The id of the group, once there is one.
        self.id: int | None = None
        self._command = command
        self._counted = counted
        self._ended = ended
        self._led = True
        self._signal: signal.Signals | None = None
        self._task = asyncio.get_running_loop().create_task(self._run())

    @property
    def alive(self) -> bool:
        """A process of the group is left, though its leader may have ended."""
        if self._led:
            return True
        return not self._task.done() and self.id is not None and has_members(self.id)

    def terminate(self) -> None:
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        self._send(signal.SIGKILL)

    def _send(self, number: signal.Signals) -> None:
        if self.id is None:
            self._signal = number  # it is just being started
        elif not self._task.done():
            send(self.id, number)

    async def _run(self) -> None:
        waiting, gate = os.pipe()
        try:
            process = await asyncio.create_subprocess_exec(
                "sh",
                *("-c", _GATED % waiting, "sh", self._command),
                start_new_session=True,
                pass_fds=(waiting,),
            )
        except OSError as error:
            log.error("a command cannot be started: %s", error)
            self._led = False
            self._ended(CANNOT_RUN)
            return
        else:
            self.id = process.pid
            self._counted()
            with suppress(BrokenPipeError):  # it was ended already
                os.write(gate, b"\n")
        finally:
            os.close(waiting)
            os.close(gate)
        if self._signal is not None:
            send(self.id, self._signal)
        code = await process.wait()
        self._led = False
        self._ended(code if code >= 0 else 128 - code)
        # An empty group's id may be given to strangers: from then on it is not used any more.
        while has_members(self.id):  # noqa: ASYNC110  (nobody tells)
            await asyncio.sleep(LOOK_SECONDS)
        self._counted()
