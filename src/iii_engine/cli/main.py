"""The `iii` command."""

from __future__ import annotations

import argparse
import gc
import os
import sys
from collections.abc import Sequence

from iii_engine.version import VERSION

#: Commands whose names are taken and which this version does not have.
UNAVAILABLE = ("console", "worker", "sandbox", "project", "create", "compose", "update", "cloud")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code: 0 ok, 1 failure, 2 wrong usage, 130 interrupted."""
    try:
        code = run_command(argv)
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code


def run_command(argv: Sequence[str] | None) -> int:
    """As `main`, with a closed output raised."""
    parser = make_parser()
    arguments, unknown = parser.parse_known_args(argv)
    if arguments.command in UNAVAILABLE:
        print(f"iii {arguments.command} is not available in this version", file=sys.stderr)
        return 1
    if arguments.command in ("trigger", "t"):
        # Words after an option are left over: argparse takes those of one place only.
        arguments.positional += [word for word in unknown if not word.startswith("-")]
        unknown = [word for word in unknown if word.startswith("-")]
    if unknown:
        parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    if arguments.command in ("trigger", "t"):
        from iii_engine.cli.trigger import trigger

        return trigger(arguments)
    if arguments.use_default_config and arguments.config is not None:
        parser.error("--use-default-config cannot be used together with --config")
    gc.disable()  # loading leaves no garbage; what runs later sets the collector to its own pace
    from iii_engine.cli.run import run_engine

    return run_engine(arguments)


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="iii",
        description="The bus that workers, functions and triggers meet on. "
        "Without a command: run the engine.",
        allow_abbrev=False,
    )
    _add_engine_options(parser, None)
    parser.set_defaults(use_default_config=False, port=None, check=False)
    parser.add_argument("-v", "--version", action="version", version=VERSION)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    start = commands.add_parser("start", help="run the engine (the same as no command)")
    _add_engine_options(start, argparse.SUPPRESS)
    _add_trigger(commands)
    for name in UNAVAILABLE:
        commands.add_parser(name, add_help=False)
    return parser


def _add_engine_options(parser: argparse.ArgumentParser, default: str | None) -> None:
    parser.add_argument(
        "-c", "--config", metavar="PATH", default=default, help="config file (config.yaml)"
    )
    parser.add_argument(
        "--use-default-config",
        action="store_true",
        default=argparse.SUPPRESS,
        help="run the default modules without a config file",
    )
    parser.add_argument(
        "--port", type=_port, default=argparse.SUPPRESS, help="port that workers connect to"
    )
    parser.add_argument(
        "--check",
        action="store_true",
        default=argparse.SUPPRESS,
        help="validate the config, print the modules that would run, and exit",
    )

    parser.add_argument(
        "--no-update-check",
        action="store_true",
        default=argparse.SUPPRESS,
        help="accepted, without effect",
    )


def _add_trigger(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    trigger = commands.add_parser(
        "trigger", aliases=["t"], help="call a function on a running engine", add_help=False
    )
    add = trigger.add_argument
    add("-h", "--help", action="store_true", dest="want_help", help="this, and what ID takes")
    add("positional", nargs="*", metavar="ID key=value", help="function and payload fields")
    add("--function-id", metavar="ID", help="the function, in the older form")
    add("--payload", metavar="JSON", help="the payload, in the older form; - reads stdin")
    add("--json", metavar="JSON", help="the payload; - reads stdin; key=value overrides its keys")
    add("--address", default="localhost", help="host of the engine (localhost)")
    add("--port", type=_port, default=49134, help="port of the engine (49134)")
    add("--timeout-ms", type=int, default=30_000, help="for the whole command (30000)")
    add("-n", "--namespace", metavar="NS", help="accepted, without effect")
    add("--enqueue", metavar="QUEUE", help="put the call on a queue and print the receipt")
    add("--void", action="store_true", help="do not wait for an answer")
    add("--raw", action="store_true", help="print the result on one line")
    trigger.set_defaults(parser=trigger)


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError(f"{text} is not a port")
    return port
