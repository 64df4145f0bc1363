"""`iii` and `iii start`: run the engine in the foreground, or only check its config."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from iii_engine.config import DEFAULT_PATH, Config, default, load, with_port
from iii_engine.config_errors import ConfigError


def run_engine(arguments: argparse.Namespace) -> int:
    """Start, or check with `--check`. Problems go to stderr without a traceback; the exit code."""
    from iii_engine.app import StartError, run

    try:
        config = read_config(arguments)
        if arguments.check:
            return check(config)
        return run(config, announce)
    except (ConfigError, StartError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def read_config(arguments: argparse.Namespace) -> Config:
    """The config that the options ask for. Raises `ConfigError`."""
    if arguments.use_default_config:
        config = default()
    else:
        config = load(Path(arguments.config or DEFAULT_PATH))
    return config if arguments.port is None else with_port(config, arguments.port)


def check(config: Config) -> int:
    """Validate everything, module options included; print the modules that would run."""
    from iii_engine.config_plan import make_plan
    from iii_engine.logs import settings_of

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
