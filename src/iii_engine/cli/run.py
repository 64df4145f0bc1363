"""`iii` and `iii start`: run the engine in the foreground, or only check its config."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from iii_engine.config.entries import DEFAULT_PATH, Config, default, with_port
from iii_engine.config.errors import ConfigError
from iii_engine.config.source import ConfigSource


def run_engine(arguments: argparse.Namespace) -> int:
    """Start, or check with `--check`. Problems go to stderr without a traceback; the exit code."""
    from iii_engine.app import run
    from iii_engine.module_set import StartError

    try:
        source = source_of(arguments)
        config = default_config(arguments.port) if source is None else source.read()
        if arguments.check:
            return check(config)
        return run(config, announce, source)
    except (ConfigError, StartError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def source_of(arguments: argparse.Namespace) -> ConfigSource | None:
    """The config file that the options ask for; None for the default config."""
    if arguments.use_default_config:
        return None
    return ConfigSource(Path(arguments.config or DEFAULT_PATH), arguments.port)


def default_config(port: int | None) -> Config:
    return default() if port is None else with_port(default(), port)


def check(config: Config) -> int:
    """Validate everything, module options included; print the modules that would run."""
    from iii_engine.config.plan import make_plan
    from iii_engine.log_settings import settings_of

    settings_of(config.entries)
    plan = make_plan(config)
    for warning in plan.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    for planned in plan.modules:
        print(planned.entry.name)
    return 0


def announce(line: str) -> None:
    """Print at once: whoever started the engine waits for these lines."""
    print(line, flush=True)
