"""`iii-exec`: a pipeline of shell commands whose last one goes on beside the engine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from iii_engine.core.pipeline import Pipeline, Stage
from iii_engine.modules.base import Host, Module
from iii_engine.modules.exec.group import ProcessGroup
from iii_engine.modules.exec.guardian import Guardian
from iii_engine.modules.exec.options import ExecOptions, check
from iii_engine.modules.exec.patterns import read_patterns
from iii_engine.modules.exec.watcher import Watcher


class ExecModule(Module[ExecOptions]):
    """Starts the commands with the engine and leaves none behind, however the engine ends."""

    kind = "iii-exec"
    Options = ExecOptions

    def __init__(self, name: str, options: ExecOptions, host: Host) -> None:
        super().__init__(name, options, host)
        self.pipeline = Pipeline(options.exec, timers=self.engine.timers, start=self._launch)
        self._guardian = Guardian()
        self._groups: list[ProcessGroup] = []
        self._watcher: Watcher | None = None
        self._quiet = False  # the engine is about to stop

    @classmethod
    def check(cls, options: ExecOptions) -> None:
        check(options)

    async def start(self) -> None:
        await self._guardian.start()
        self._follow_options()
        self.pipeline.restart()

    async def reconfigure(self, options: ExecOptions) -> bool:
        """In place; only other commands end those that run."""
        self.options = options
        await self._unwatch()
        self._follow_options()
        return True

    def status(self) -> str:
        pipeline = self.pipeline
        if pipeline.code and pipeline.stage in (Stage.FAILED, Stage.ENDED, Stage.WAITING):
            return f"{pipeline.which()} ended with {pipeline.code}"
        return super().status()

    async def quiesce(self) -> None:
        """From now on nothing is started again; what runs may be needed by calls under way."""
        self._quiet = True
        await self._unwatch()
        self.pipeline.follow(self.pipeline.commands, revive=False)

    async def stop(self) -> None:
        """End every process, within 4 s; when the engine stops, those of all instances at once."""
        await self._unwatch()
        others = [
            module
            for module in self.host.modules.values()
            if self._quiet and isinstance(module, ExecModule) and module is not self
        ]
        await asyncio.gather(*(module.end_commands() for module in (self, *others)))
        await super().stop()

    async def end_commands(self) -> None:
        """Return when no process is left."""
        stopped = self.host.loop.create_future()
        self.pipeline.stop(lambda: stopped.set_result(None))
        await stopped
        await self._guardian.stop()

    def _follow_options(self) -> None:
        options = self.options
        self.pipeline.follow(options.exec, revive=options.restart == "always")
        patterns = read_patterns(options.watch)
        if patterns and options.restart != "never":
            self._watcher = Watcher(patterns, self.pipeline.restart)

    async def _unwatch(self) -> None:
        if self._watcher is not None:
            await self._watcher.stop()
            self._watcher = None

    def _launch(self, command: str, ended: Callable[[int], None]) -> ProcessGroup:
        group = ProcessGroup(command, self._count, ended)
        self._groups.append(group)
        return group

    def _count(self) -> None:
        """Tell the guardian which groups there are."""
        self._groups = [group for group in self._groups if group.alive]
        self._guardian.watch(group.id for group in self._groups if group.id is not None)
