"""The modules that run, and how they get from one configuration to the next."""

from __future__ import annotations

import errno
import logging
from collections.abc import Sequence
from typing import Any

from iii_engine.config.entries import Entry
from iii_engine.config.plan import Planned
from iii_engine.modules.base import Host, Module
from iii_engine.storage.base import StoreError
from iii_sdk.errors import BusError

log = logging.getLogger("iii.app")

#: How long a module that is taken out may let its work end, in seconds.
DRAIN_SECONDS = 10.0

#: What a module may raise because of its options or its surroundings.
REFUSALS = (BusError, StoreError, OSError)


class StartError(Exception):
    """A module, or the engine, could not start; what had started was stopped again."""


class ModuleSet:
    """Starts, changes and stops modules. `host.modules` has those that run, in start order."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._modules = host.modules
        self._planned: dict[str, Planned] = {}  # the last good one of each

    async def start(self, planned: Planned) -> None:
        """Raises `StartError`."""
        name = planned.entry.name
        module = planned.module(name, planned.options, self._host)
        try:
            await module.start()
        except BaseException as error:
            await _stop(module)
            if not isinstance(error, Exception):
                raise
            reason = reason_of(error, planned)
            raise StartError(f"failed to initialize worker '{name}': {reason}") from error
        self._modules[name] = module
        self._planned[name] = planned

    async def stop(self, name: str) -> None:
        del self._planned[name]
        await _stop(self._modules.pop(name))

    async def stop_all(self) -> None:
        """The newest first."""
        for name in reversed(list(self._modules)):
            await self.stop(name)

    async def quiesce(self) -> None:
        """The engine is about to stop. What fails in one module keeps no other from it."""
        for name, module in list(self._modules.items()):
            try:
                await module.quiesce()
            except Exception:
                log.exception("module %s still accepts work", name)

    async def apply(self, wanted: Sequence[Planned]) -> list[str]:
        """Change, remove and add modules, in this order; returns what was not possible.

        A module that cannot be changed goes on as it was. One that wants an address which another
        gives up gets a second chance when the others have changed.
        """
        names = [planned.entry.name for planned in wanted]
        different = [planned for planned in wanted if self._differs(planned)]
        added = [planned for planned in wanted if planned.entry.name not in self._modules]
        problems: list[str] = []
        refused: list[Planned] = []
        for planned in different:
            try:
                problems += await self._change(planned)
            except Exception:  # noqa: BLE001  (it is tried again below)
                refused.append(planned)
        for name in reversed([name for name in self._modules if name not in names]):
            await self._remove(name)
        for planned in refused:
            try:
                problems += await self._change(planned)
            except Exception as error:  # noqa: BLE001  (`reason_of` logs what was not expected)
                reason = reason_of(error, planned)
                problems.append(f"failed to change worker '{planned.entry.name}': {reason}")
        for planned in added:
            problems += await self._add(planned)
        self._sort(names)
        return problems

    def _differs(self, planned: Planned) -> bool:
        running = self._planned.get(planned.entry.name)
        return running is not None and _content(running.entry) != _content(planned.entry)

    async def _change(self, planned: Planned) -> list[str]:
        """Change a module in place, or else start it again.

        Raises when it goes on as it was.
        """
        name = planned.entry.name
        module = self._modules[name]
        if planned.options != module.options and not await module.reconfigure(planned.options):
            return await self._restart(planned)
        self._planned[name] = planned
        log.info("module %s has new options", name)
        return []

    async def _restart(self, planned: Planned) -> list[str]:
        """Start with the last good options when the new ones do not work."""
        before = self._planned[planned.entry.name]
        await self._remove(planned.entry.name)
        problems = await self._add(planned)
        if problems:
            problems += await self._add(before)
        return problems

    async def _remove(self, name: str) -> None:
        try:
            await self._modules[name].drain(DRAIN_SECONDS)
        except Exception:
            log.exception("module %s did not let its work end", name)
        await self.stop(name)
        log.info("module %s stopped", name)

    async def _add(self, planned: Planned) -> list[str]:
        try:
            await self.start(planned)
        except StartError as error:
            return [str(error)]
        log.info("module %s started", planned.entry.name)
        return []

    def _sort(self, names: list[str]) -> None:
        """Bring `host.modules` back into start order, so that all stop in the right one."""
        running = [(name, self._modules[name]) for name in names if name in self._modules]
        self._modules.clear()
        self._modules.update(running)


def _content(entry: Entry) -> tuple[object, ...]:
    """What of an entry makes a difference; whether it was injected does not."""
    return entry.kind, entry.image, entry.worker_path, entry.config


async def _stop(module: Module[Any]) -> None:
    try:
        await module.stop()
    except Exception:
        log.exception("module %s did not stop cleanly", module.name)
    finally:
        module.withdraw_all()


def reason_of(error: Exception, planned: Planned) -> str:
    """What was refused; of a listener, with its address. What nobody expected is logged."""
    if isinstance(error, BusError):
        return error.message
    if not isinstance(error, REFUSALS):
        log.error("worker '%s' failed", planned.entry.name, exc_info=error)
        return f"{type(error).__name__}: {error}"
    host = getattr(planned.options, "host", None)
    port = getattr(planned.options, "port", None)
    if not isinstance(error, OSError) or host is None or port is None:
        return str(error)
    if error.errno == errno.EADDRINUSE:
        return f"address {host}:{port} is already in use"
    return f"cannot listen on {host}:{port}: {error.strerror or error}"
