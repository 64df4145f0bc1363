"""Hot reload: a running engine follows its config file.

The one file is looked at four times a second instead of being watched by the kernel: the same on
every system and file system, right for editors that replace the file and for links that are
switched to another directory, without a dependency, and a look costs microseconds.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import Protocol

from iii_engine.config.entries import Config
from iii_engine.config.errors import ConfigError
from iii_engine.config.plan import Plan
from iii_engine.config.source import ConfigSource
from iii_engine.log_settings import LogSettings, configure, settings_of
from iii_engine.modules.base import Host

log = logging.getLogger("iii.config")

POLL_SECONDS = 0.25
#: How long the file must stay as it is before it is read.
SETTLE_SECONDS = 0.5


class Reloadable(Protocol):
    """The part of `App` that a reload needs."""

    host: Host

    def prepare(self, config: Config) -> Plan:
        """Raises `ConfigError`."""

    async def apply(self, plan: Plan) -> list[str]: ...


class Reloader:
    """Applies the file to the app after each change, until stopped.

    `log_settings` are those in force; None leaves the logging of this process alone.
    """

    def __init__(
        self, app: Reloadable, source: ConfigSource, log_settings: LogSettings | None = None
    ) -> None:
        self._app = app
        self._source = source
        self._log_settings = log_settings
        self._stopping = asyncio.Event()
        self.applying = False  # a change of the file is being taken up
        self._task = asyncio.create_task(self._follow())

    async def stop(self) -> None:
        """End; a change that is being applied is completed."""
        self._stopping.set()
        await self._task

    async def _follow(self) -> None:
        while not await self._stopped_within(POLL_SECONDS):
            stamp = self._source.stamp()
            if stamp == self._source.read_stamp:
                continue
            while not await self._stopped_within(SETTLE_SECONDS):
                before, stamp = stamp, self._source.stamp()
                if stamp == before:
                    self.applying = True
                    await self._reload()
                    self.applying = False
                    break

    async def _stopped_within(self, seconds: float) -> bool:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)
        return self._stopping.is_set()

    async def _reload(self) -> None:
        """Apply the file, or keep what runs; either way `engine::health::check` tells."""
        try:
            # In a thread: parsing takes milliseconds, and the calls of others go on meanwhile.
            plan, log_settings = await asyncio.to_thread(self._read)
            problems = await self._app.apply(plan)
            self._configure_logs(log_settings)
        except ConfigError as error:
            problems = [str(error)]
        except Exception as error:
            log.exception("the config could not be applied")
            problems = [f"internal error: {type(error).__name__}"]
        for problem in problems:
            log.error("%s: %s", self._source.path, problem)
        if not problems:
            log.info("%s: applied", self._source.path)
        self._app.host.config_problem = "; ".join(problems) or None

    def _read(self) -> tuple[Plan, LogSettings]:
        config = self._source.read()
        return self._app.prepare(config), settings_of(config.entries)

    def _configure_logs(self, settings: LogSettings) -> None:
        if self._log_settings is not None and settings != self._log_settings:
            configure(settings, before=self._log_settings)
            self._log_settings = settings
