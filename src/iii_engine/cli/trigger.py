"""`iii trigger`: call a function on a running engine."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import socket
import sys
import time

from iii_engine.cli.payload import PayloadError, make_payload
from iii_sdk import Bus, BusError, connect

NO_ENGINE = (
    "Timed out waiting for the engine (no response within the timeout). "
    "Is the engine running at the given address and port?"
)

#: Code of the SDK's own timeout; a function's own has another spelling.
LOCAL_TIMEOUT = "TIMEOUT"


def trigger(arguments: argparse.Namespace) -> int:
    """Call the function and print its result; the exit code. Wrong usage exits with 2."""
    parser: argparse.ArgumentParser = arguments.parser
    words: list[str] = arguments.positional
    function_id: str | None = arguments.function_id
    if function_id is None and words:
        function_id, words = words[0], words[1:]
    elif words and "=" not in words[0]:
        parser.error("give the function as ID or with --function-id, not both")
    if arguments.want_help:
        parser.print_help()
        if function_id is None:
            return 0
    if function_id is None:
        parser.error("which function? give its ID")
    if arguments.payload is not None and arguments.json is not None:
        parser.error("--payload and --json are the same thing: give one of them")
    if arguments.void and arguments.enqueue is not None:
        parser.error("--void and --enqueue exclude each other")
    try:
        text = arguments.json if arguments.payload is None else arguments.payload
        payload = make_payload(text, words)
    except PayloadError as error:
        print(error, file=sys.stderr)
        return 1
    return _run(arguments, function_id, payload)


def _run(arguments: argparse.Namespace, function_id: str, payload: object) -> int:
    # The SDK's lines about reconnecting would only repeat the one message printed here.
    logging.getLogger("iii").addHandler(logging.NullHandler())
    if _nobody_listens(arguments):
        print(NO_ENGINE, file=sys.stderr)
        return 1
    host = f"[{arguments.address}]" if ":" in arguments.address else arguments.address
    url = f"ws://{host}:{arguments.port}"
    try:
        return asyncio.run(_session(arguments, url, function_id, payload))
    except KeyboardInterrupt:
        return 130


def _nobody_listens(arguments: argparse.Namespace) -> bool:
    """Whether the port refuses at once; then there is nothing to wait for."""
    try:
        timeout = max(arguments.timeout_ms / 1000, 0.001)
        socket.create_connection((arguments.address, arguments.port), timeout).close()
    except ConnectionRefusedError:
        return True
    except OSError:
        return False  # the client may be luckier, and says what is wrong
    return False


async def _session(
    arguments: argparse.Namespace, url: str, function_id: str, payload: object
) -> int:
    end = time.monotonic() + arguments.timeout_ms / 1000
    connected = False
    try:
        async with connect(url, name="iii-cli", timeout=arguments.timeout_ms / 1000) as bus:
            connected = True
            left = max(end - time.monotonic(), 0.001)
            if arguments.want_help:
                await _describe(bus, function_id, left)
            else:
                await _call(bus, arguments, function_id, payload, left)
    except RecursionError:
        print("Invalid JSON payload: it is nested too deeply", file=sys.stderr)
        return 1
    except BusError as error:
        if not connected or error.code == LOCAL_TIMEOUT:
            print(NO_ENGINE, file=sys.stderr)
        else:
            body = {"code": error.code, "message": error.message, "stacktrace": error.stacktrace}
            print(f"Error: {_pretty(body)}", file=sys.stderr)
        return 1
    return 0


async def _call(
    bus: Bus, arguments: argparse.Namespace, function_id: str, payload: object, timeout: float
) -> None:
    if arguments.void:
        bus.send(function_id, payload)
        # Messages of one connection are read in order: this answer says the call was read.
        await bus.call("engine::baggage::get_all", {}, timeout=timeout)
        return
    if arguments.enqueue is not None:
        print(await bus.enqueue(arguments.enqueue, function_id, payload))
        return
    result = await bus.call(function_id, payload, timeout=timeout)
    if result is not None:
        print(_compact(result) if arguments.raw else _pretty(result))


async def _describe(bus: Bus, function_id: str, timeout: float) -> None:
    query = {"function_id": function_id}
    info = await bus.call("engine::functions::info", query, timeout=timeout)
    print(f"\n{function_id}: {info.get('description') or 'no description'}")
    if info.get("request_schema"):
        print(f"request: {_pretty(info['request_schema'])}")


def _pretty(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def _compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
