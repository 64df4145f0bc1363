"""Running a command in a Docker container, bounded in time and output."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import signal
import time

from msgspec import Struct

from agentos.workers.security.docker import DockerExec, run_arguments, timeout_of, workspace_root
from iii_sdk import Unavailable

log = logging.getLogger("agentos.security")

#: Bytes kept of each of stdout and stderr; the rest is read and dropped.
MAX_OUTPUT = 1024 * 1024
CHUNK = 64 * 1024
#: How long removing a container may take.
REMOVAL_S = 20

#: docker's own exit code when the container did not start, and how it says that nobody answers.
DOCKER_FAILED = 125
NO_DAEMON = ("cannot connect to the docker daemon", "permission denied", "is the docker daemon")


class Executed(Struct, rename="camel"):
    """`exit_code` is -1 when the command was stopped or could not be run."""

    exit_code: int
    stdout: str
    stderr: str
    duration_ms: int
    timed_out: bool = False


async def docker_exec(request: DockerExec) -> Executed:
    """Run a command in a locked-down Docker container."""
    name = f"agentos-sandbox-{secrets.token_hex(4)}"
    arguments = run_arguments(request, name, workspace_root())
    started = time.monotonic()
    spawning = asyncio.ensure_future(_spawn(arguments))
    try:
        process = await asyncio.shield(spawning)
    except asyncio.CancelledError:
        # The command may have begun although nobody knows its process yet.
        await asyncio.shield(_stop(await spawning, name))
        raise
    run = asyncio.gather(_read(process.stdout), _read(process.stderr), process.wait())
    try:
        async with asyncio.timeout(timeout_of(request)):
            stdout, stderr, code = await run
    except TimeoutError:
        await _stop(process, name)
        took = _ms_since(started)
        return Executed(-1, "", "Execution timed out", took, timed_out=True)
    except asyncio.CancelledError:
        # Our caller has gone; the container must not outlive the call.
        await asyncio.shield(_stop(process, name))
        raise
    except OSError as error:
        await _stop(process, name)
        return Executed(-1, "", str(error), _ms_since(started))
    if code == DOCKER_FAILED and any(sign in stderr.lower() for sign in NO_DAEMON):
        raise Unavailable(f"docker not available: {stderr.strip().splitlines()[0][:300]}")
    return Executed(code, stdout, stderr, _ms_since(started))


def _ms_since(started: float) -> int:
    return round((time.monotonic() - started) * 1000)


async def _spawn(arguments: list[str]) -> asyncio.subprocess.Process:
    """Start docker in a process group of its own."""
    try:
        return await asyncio.create_subprocess_exec(
            "docker",
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
    except FileNotFoundError:
        raise Unavailable("docker not available: install the docker client") from None
    except (OSError, ValueError) as error:  # ValueError: a zero byte in an argument
        raise Unavailable(f"docker not available: {error}") from error


async def _read(stream: asyncio.StreamReader | None) -> str:
    """All of a stream, of which the first `MAX_OUTPUT` bytes are kept."""
    kept = bytearray()
    while stream is not None and (chunk := await stream.read(CHUNK)):
        kept += chunk[: MAX_OUTPUT - len(kept)]
    return kept.decode(errors="replace")


async def _stop(process: asyncio.subprocess.Process, name: str) -> None:
    """Kill the client with its group and remove the container by force."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
    try:
        removal = await asyncio.create_subprocess_exec(
            "docker",
            "rm",
            "--force",
            name,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        async with asyncio.timeout(REMOVAL_S):
            await removal.wait()
    except (OSError, TimeoutError) as error:
        log.warning("container %s could not be removed: %s", name, error)
