"""The engine as a program: core, store, modules and clock, started and stopped together."""

from __future__ import annotations

import asyncio
import errno
import gc
import logging
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from iii_engine import logs
from iii_engine.config import Config
from iii_engine.config_plan import Planned, make_plan
from iii_engine.config_storage import make_store
from iii_engine.core.clock import SystemClock, SystemIds
from iii_engine.core.engine import Engine
from iii_engine.modules.base import Host, Module
from iii_engine.modules.catalogue import WORKER_MANAGER
from iii_engine.storage.base import StoreError
from iii_engine.ticker import Ticker
from iii_sdk.errors import BusError

log = logging.getLogger("iii.app")

#: How long calls under way may take after the first signal, in seconds.
GRACE_SECONDS = 10.0

#: What a process reports that a second signal ended.
INTERRUPTED = 130


class StartError(Exception):
    """The engine could not start; what had started was stopped again."""


class App:
    """One engine in the running event loop. An app is started once.

    Raises `ConfigError` when made from a config that cannot work.
    """

    def __init__(self, config: Config) -> None:
        self._plan = make_plan(config)
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
        for warning in self._plan.warnings:
            log.warning(warning)
        try:
            await self.store.open()
        except (StoreError, OSError) as error:
            raise StartError(f"failed to open the store: {error}") from error
        self._ticker = Ticker(self.engine, loop)
        host = Host(self.engine, self.store, loop, self.modules)
        try:
            for planned in self._plan.modules:
                module = planned.module(planned.entry.name, planned.options, host)
                await self._start(module, planned)
        except BaseException:
            await self.stop(grace=0)
            raise

    async def _start(self, module: Module[Any], planned: Planned) -> None:
        try:
            await module.start()
        except (BusError, StoreError, OSError) as error:
            await self._stop(module)
            reason = error.message if isinstance(error, BusError) else str(error)
            if isinstance(error, OSError):
                reason = _reason(error, planned)
            raise StartError(
                f"failed to initialize worker '{planned.entry.name}': {reason}"
            ) from error
        self.modules[module.name] = module

    async def stop(self, grace: float = GRACE_SECONDS) -> None:
        """Take no new work, give calls under way `grace` seconds, stop modules, close the store."""
        for module in self.modules.values():
            await module.quiesce()
        await self._drain(grace)
        while self.modules:
            await self._stop(self.modules.popitem()[1])
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

    async def _stop(self, module: Module[Any]) -> None:
        try:
            await module.stop()
        except Exception:
            log.exception("module %s did not stop cleanly", module.name)


def _reason(error: OSError, planned: Planned) -> str:
    """What the operating system refused, with the address when the module listens on one."""
    host = getattr(planned.options, "host", None)
    port = getattr(planned.options, "port", None)
    if host is None or port is None:
        return str(error)
    if error.errno == errno.EADDRINUSE:
        return f"address {host}:{port} is already in use"
    return f"cannot listen on {host}:{port}: {error.strerror or error}"


# -- as a program --------------------------------------------------------------------------------


def run(config: Config, announce: Callable[[str], None] = print) -> int:
    """Run an engine until a signal ends it; the exit code.

    Raises `ConfigError` or `StartError`. The second signal ends the process at once.
    """
    logs.configure(logs.settings_of(config.entries))
    # Threads of the store hand their results over quickly; the default makes them wait 5 ms.
    sys.setswitchinterval(0.0005)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(_serve(config, announce))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


async def _serve(config: Config, announce: Callable[[str], None]) -> int:
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
    await stopping.wait()
    log.info("stopping")
    await app.stop()
    return 0


def _settle_collector() -> None:
    """Keep the garbage collector off what lives as long as the process, and off calls under way.

    Calls are freed by their reference counts; a collector at its default pace would walk those in
    flight again and again for the few cycles there are.
    """
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


def status_lines(app: App) -> list[str]:
    """What a start prints: the address for workers, then one line per module."""
    lines = ["engine listening on {}:{}".format(*app.address)]
    for name, module in app.modules.items():
        at = "ready" if module.address is None else "listening on {}:{}".format(*module.address)
        lines.append(f"module {name} {at}")
    return lines
