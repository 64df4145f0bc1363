"""A pipeline of commands: one after the other, the last one meant to go on for ever.

Each command is a process group of its own. Whatever ends the pipeline, no group is left: first all
are asked to end, then killed. Groups and time come from outside.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from enum import Enum
from functools import partial
from typing import Final, Protocol

from iii_engine.core.timers import Timer, Timers

log = logging.getLogger("iii.exec")

#: How long a group may take to end by itself, and a killed one to be gone, in seconds.
GRACE_SECONDS: Final = 3.0
GONE_SECONDS: Final = 1.0
#: How often a group that ends is looked at: the system reports only the end of its leader.
LOOK_SECONDS: Final = 0.05

FIRST_DELAY: Final = 1.0
LONGEST_DELAY: Final = 30.0
#: A process that ran this long is started again without further delay than the first.
STABLE_SECONDS: Final = 30.0


class Group(Protocol):
    """The processes of one command."""

    @property
    def alive(self) -> bool:
        """Is one of them left?"""

    def terminate(self) -> None: ...

    def kill(self) -> None: ...


#: Runs a command; the callback gets its exit code, after `start` has returned.
Start = Callable[[str, Callable[[int], None]], Group]


class Stage(Enum):
    """What a pipeline is about. `FAILED` and `ENDED` ones wait for a change."""

    RUNNING = "running"
    WAITING = "waiting"  # to start the last command again
    FAILED = "failed"  # a command before the last one
    ENDED = "ended"
    STOPPING = "stopping"
    STOPPED = "stopped"


class Pipeline:
    """One run of the commands at a time.

    With `revive` the last command is started again when it ends, after 1 s, 2 s, 4 s … at most
    30 s. Nothing else starts by itself what has ended. What a command leaves behind in its group
    goes on until the pipeline stops, or the command starts again.
    """

    def __init__(self, commands: Sequence[str], *, timers: Timers, start: Start) -> None:
        self.commands = tuple(commands)
        self.revive = False
        self.stage = Stage.STOPPED
        #: Exit code of the command that ended last.
        self.code: int | None = None
        #: The index of the command that is under way, or was the last one.
        self.step = 0
        self._timers = timers
        self._start = start
        self._groups: list[Group] = []
        self._run = 0  # numbers the runs: what an earlier one reports does not count any more
        self._deaths = 0
        self._stable: Timer | None = None
        self._next: Timer | None = None
        self._looks = 0
        self._then: Callable[[], None] = self._begin
        self._closed = False

    def restart(self) -> None:
        """End what runs and begin with the first command; the first start, too."""
        if not self._closed:
            self._finish(self._begin)

    def follow(self, commands: Sequence[str], *, revive: bool) -> None:
        """Go by these settings from now on. Only other commands end those that run."""
        before, self.commands, self.revive = self.commands, tuple(commands), revive
        if self.commands != before:
            self.restart()
        elif revive and self.stage is Stage.ENDED:
            self._revive_later()
        elif not revive and self.stage is Stage.WAITING:
            self._cancel_timers()
            self.stage = Stage.ENDED

    def stop(self, stopped: Callable[[], None]) -> None:
        """End what runs, for good, and tell when nothing is left: within 4 s."""
        self._closed = True
        self._finish(stopped)

    # -- running ---------------------------------------------------------------------------------

    def _begin(self) -> None:
        self._deaths = 0
        self._launch(0)

    def _launch(self, step: int) -> None:
        self.step = step
        self.stage = Stage.RUNNING
        log.info("%s starts", self.which())
        self._groups.append(self._start(self.commands[step], partial(self._ended, self._run)))
        if self._is_last():
            self._stable = self._timers.after(STABLE_SECONDS, self._proved_stable)

    def which(self) -> str:
        """Not the command itself: secrets may be part of it."""
        return f"command {self.step + 1} of {len(self.commands)}"

    def _is_last(self) -> bool:
        return self.step == len(self.commands) - 1

    def _proved_stable(self) -> None:
        self._deaths = 0

    def _ended(self, run: int, code: int) -> None:
        """A command's own process ended."""
        if run != self._run:
            return
        self.code = code
        self._cancel_timers()
        if self._is_last():
            log.warning("%s ended with %d", self.which(), code)
            self.stage = Stage.ENDED
            if self.revive:
                self._revive_later()
        elif code == 0:
            self._groups = [group for group in self._groups if group.alive]
            self._launch(self.step + 1)
        else:
            log.error("%s failed with %d, the rest is not started", self.which(), code)
            self.stage = Stage.FAILED

    def _revive_later(self) -> None:
        delay = min(FIRST_DELAY * 2.0 ** min(self._deaths, 16), LONGEST_DELAY)
        self._deaths += 1
        log.info("%s starts again in %g s", self.which(), delay)
        # What it left behind would be in the way of the new one, for example on its port.
        left = self._groups[-1]
        left.terminate()
        self.stage = Stage.WAITING
        self._next = self._timers.after(delay, partial(self._revive, left))

    def _revive(self, left: Group) -> None:
        left.kill()
        self._groups.remove(left)
        self._launch(self.step)

    # -- ending ----------------------------------------------------------------------------------

    def _finish(self, then: Callable[[], None]) -> None:
        """Let every group end, then do `then`; a later call replaces the `then` of an earlier."""
        self._then = then
        if self.stage is Stage.STOPPING:
            return
        self._run += 1
        self._cancel_timers()
        self.stage = Stage.STOPPING
        self._looks = 0
        for group in self._groups:
            group.terminate()
        self._look()

    def _look(self) -> None:
        self._groups = [group for group in self._groups if group.alive]
        waited = self._looks * LOOK_SECONDS
        self._looks += 1
        if self._groups and waited >= GRACE_SECONDS + GONE_SECONDS:
            log.error("%d process groups outlive their SIGKILL", len(self._groups))
            self._groups.clear()
        if not self._groups:
            self.stage = Stage.STOPPED
            self._then()
            return
        if waited >= GRACE_SECONDS:
            for group in self._groups:
                group.kill()
        self._next = self._timers.after(LOOK_SECONDS, self._look)

    def _cancel_timers(self) -> None:
        for timer in (self._stable, self._next):
            if timer is not None:
                timer.cancel()
        self._stable = self._next = None
