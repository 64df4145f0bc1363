"""From config entries to modules that can be started: all is checked before anything runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from msgspec import Struct

from iii_engine.config.entries import Config, Entry, quoted
from iii_engine.config.errors import ConfigError
from iii_engine.config.options import read_options
from iii_engine.modules.base import Module
from iii_engine.modules.catalogue import (
    BUILTINS,
    EXEC,
    TELEMETRY,
    WORKER_MANAGER,
    Builtin,
    find,
)
from iii_sdk.errors import BusError

#: Modules that start after the others, in this order.
_LATE = {WORKER_MANAGER: 1, EXEC: 2}


@dataclass(frozen=True)
class Planned:
    """A module to start: its entry, its class, its checked options."""

    entry: Entry
    module: type[Module[Any]]
    options: Struct


@dataclass
class Plan:
    """The modules in start order, and what the operator should know."""

    modules: list[Planned] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def entries(self) -> list[Entry]:
        """What the modules were made of."""
        return [planned.entry for planned in self.modules]


def make_plan(config: Config) -> Plan:
    """Check every entry against its module. Raises `ConfigError`.

    Worker listeners come late, whatever their place in the file: a worker never meets an engine
    whose other modules are still missing. Programs that the engine runs come last: they find
    everything there, and at the end they stop first.
    """
    plan = Plan(warnings=list(config.warnings))
    for entry in config.entries:
        builtin = _builtin(entry)
        if builtin.available:
            module = builtin.load()
            options = read_options(entry, module.Options)
            try:
                module.check(options)
            except BusError as error:
                raise ConfigError(
                    f"failed to create worker '{entry.name}': {error.message}"
                ) from error
            plan.modules.append(Planned(entry, module, options))
        elif not entry.injected and builtin.name != TELEMETRY:
            plan.warnings.append(f"module {entry.name} is not available in this version")
    plan.modules.sort(key=lambda planned: _LATE.get(planned.entry.kind, 0))
    return plan


def _builtin(entry: Entry) -> Builtin:
    builtin = find(entry.kind)
    if builtin is None:
        raise ConfigError(
            f"failed to create worker '{entry.name}': it is not a built-in module, and managed "
            f"workers are not available in this version. Built-in modules: "
            f"{quoted(b.name for b in BUILTINS)}"
        )
    if entry.image is not None:
        raise ConfigError(
            f"Worker '{entry.name}' is a built-in worker and cannot have an 'image' field. "
            "Remove the field, or give the worker another name."
        )
    return builtin
