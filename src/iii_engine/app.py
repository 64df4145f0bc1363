"""The engine as a program: core, store, modules and clock, started and stopped together."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import resource
import signal
import sys
from collections.abc import Callable
from typing import Any

from iii_engine.config.entries import Config
from iii_engine.config.errors import ConfigError
from iii_engine.config.plan import Plan, make_plan
from iii_engine.config.source import ConfigSource
from iii_engine.config.storage import leave_notes, make_store, moves_store, store_directory
from iii_engine.core.clock import SystemClock, SystemIds
from iii_engine.core.engine import Engine
from iii_engine.log_settings import configure, settings_of
from iii_engine.module_set import ModuleSet, StartError
from iii_engine.modules.base import Host, Module
from iii_engine.modules.catalogue import WORKER_MANAGER
from iii_engine.reloader import Reloader
from iii_engine.storage.base import StoreError
from iii_engine.ticker import Ticker

log = logging.getLogger("iii.app")

#: How long calls under way may take after the first signal, in seconds.
GRACE_SECONDS = 10.0

#: What a process reports that a second signal ended.
INTERRUPTED = 130


class App:
    """One engine in the running event loop. An app is started once.

    Raises `ConfigError` when made from a config that cannot work.
    """

    def __init__(self, config: Config) -> None:
        self._plan = make_plan(config)
        self._directory = store_directory(config.entries)
        self.engine = Engine(SystemClock(), SystemIds())
        self.store = make_store(config.entries)
        self.modules: dict[str, Module[Any]] = {}
        self._ticker: Ticker | None = None

    @property
    def address(self) -> tuple[str, int]:
        """Host and port that workers connect to, once started."""
        module = self.modules[WORKER_MANAGER]
        assert module.address is not None
        return module.address

    async def start(self) -> None:
        """Open the store and start the modules: all of them, or none with a `StartError`."""
        loop = asyncio.get_running_loop()
        self.host = Host(self.engine, self.store, loop, self.modules)
        self._set = ModuleSet(self.host)
        _warn(self._plan)
        if self._directory is not None:
            log.info("the store of all modules is in %s", self._directory)
        try:
            await self.store.open()
            leave_notes(self._directory, self._plan.entries)
        except (StoreError, OSError) as error:
            raise StartError(f"failed to open the store: {error}") from error
        self._ticker = Ticker(self.engine, loop)
        try:
            for planned in self._plan.modules:
                await self._set.start(planned)
        except BaseException:
            await self.stop(grace=0)
            raise

    def prepare(self, config: Config) -> Plan:
        """Check another config for this running app. Raises `ConfigError`; changes nothing."""
        plan = make_plan(config)
        if moves_store(self._directory, self._plan.entries, config.entries):
            raise ConfigError(
                "store_method and file_path cannot change while the engine runs: "
                "the data would stay behind. Restart the engine to move its store."
            )
        return plan

    async def apply(self, plan: Plan) -> list[str]:
        """Run what was prepared; returns the problems of the modules that could not follow."""
        _warn(plan, self._plan)
        leave_notes(self._directory, plan.entries)
        self._plan = plan
        return await self._set.apply(plan.modules)

    async def stop(self, grace: float = GRACE_SECONDS) -> None:
        """Take no new work, give calls under way `grace` seconds, stop modules, close the store."""
        try:
            await self._set.quiesce()
            await self._drain(grace)
            await self._set.stop_all()
        finally:
            if self._ticker is not None:
                self._ticker.stop()
                self._ticker = None
            await self.store.close()

    async def _drain(self, grace: float) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + grace
        pending = self.engine.router.pending
        while pending and loop.time() < end:  # noqa: ASYNC110  (the core knows no events)
            await asyncio.sleep(0.02)
        if pending and grace:
            log.warning("%d calls did not end within %g s", len(pending), grace)
        self.engine.router.stop()  # while everybody who waits is still connected


def _warn(plan: Plan, before: Plan | None = None) -> None:
    """Log the warnings of a plan that were not logged before."""
    for warning in plan.warnings:
        if before is None or warning not in before.warnings:
            log.warning(warning)


# -- as a program --------------------------------------------------------------------------------


def run(
    config: Config,
    announce: Callable[[str], None] = print,
    source: ConfigSource | None = None,
) -> int:
    """Run an engine until a signal ends it; the exit code. It follows the changes of `source`.

    Raises `ConfigError` or `StartError`. The second signal ends the process at once.
    """
    configure(settings_of(config.entries))
    # Threads of the store hand their results over quickly; the default makes them wait 5 ms.
    sys.setswitchinterval(0.0005)
    raise_descriptor_limit()
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(_serve(config, announce, source))


def raise_descriptor_limit() -> None:
    """Every connection takes a descriptor, and many systems start programs with 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (ValueError, OSError) as error:  # macOS names no limit, and allows none
        log.debug("the limit of open files stays at %d: %s", soft, error)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


async def _serve(
    config: Config, announce: Callable[[str], None], source: ConfigSource | None
) -> int:
    stopping = asyncio.Event()

    def on_signal() -> None:
        if stopping.is_set():
            os._exit(INTERRUPTED)
        stopping.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, on_signal)
    app = App(config)
    await app.start()
    _settle_collector()
    for line in status_lines(app):
        announce(line)
    reloader = None if source is None else Reloader(app, source, settings_of(config.entries))
    await stopping.wait()
    log.info("stopping")
    if reloader is not None:
        await reloader.stop()
    await app.stop()
    return 0


def _settle_collector() -> None:
    """Keep the garbage collector off what lives as long as the process, and off calls under way.

    Calls are freed by their reference counts; a collector at its default pace would walk those in
    flight again and again for the few cycles there are.
    """
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    gc.enable()


def status_lines(app: App) -> list[str]:
    """What a start prints: the address for workers, then one line per module."""
    lines = ["engine listening on {}:{}".format(*app.address)]
    for name, module in app.modules.items():
        at = "ready" if module.address is None else "listening on {}:{}".format(*module.address)
        lines.append(f"module {name} {at}")
    return lines
