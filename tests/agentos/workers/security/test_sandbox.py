"""Running docker: the real client where there is one, and scripts in its place."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
from tests.support.waiting import until

from agentos.workers.security import sandbox
from agentos.workers.security.docker import DockerExec
from iii_sdk import Bus, Unavailable


def install(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Put a `docker` made of shell into the path."""
    program = folder / "docker"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


async def test_docker_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unavailable, match="docker not available"):
        await sandbox.docker_exec(DockerExec(["ls"]))


async def test_without_client_or_daemon_the_cause_is_named(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the real client where it is installed; no daemon listens at the address."""
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
    with pytest.raises(Unavailable, match="docker not available"):
        await bus.call("security::docker_exec", {"command": ["true"]})


async def test_security_case_14_over_the_bus(bus: Bus) -> None:
    for request, message in (
        ({"command": []}, "command must not be empty"),
        ({"command": ["x"], "image": "alpine:latest"}, "not allowed"),
    ):
        with pytest.raises(Exception, match=message):
            await bus.call("security::docker_exec", request)


async def test_output_and_exit_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, 'echo "$@"; echo trouble >&2; exit 3')
    done = await sandbox.docker_exec(DockerExec(["echo", "a b"]))
    assert (done.exit_code, done.stderr, done.timed_out) == (3, "trouble\n", False)
    assert done.stdout.endswith("ubuntu:22.04 echo a b\n")


async def test_output_is_capped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, "head -c 3000000 /dev/zero; echo end >&2")
    done = await sandbox.docker_exec(DockerExec(["x"]))
    assert (len(done.stdout), done.stderr) == (sandbox.MAX_OUTPUT, "end\n")


STUCK = """
echo "$@" >> {log}
case $1 in run) sleep 60 & wait;; esac
"""


async def test_timeout_removes_the_container(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "log"
    install(tmp_path, monkeypatch, STUCK.format(log=log))
    monkeypatch.setattr(sandbox, "timeout_of", lambda request: 0.2)
    done = await sandbox.docker_exec(DockerExec(["x"]))
    assert (done.exit_code, done.stderr, done.timed_out) == (-1, "Execution timed out", True)
    run, removal = log.read_text().splitlines()
    assert removal == f"rm --force {run.split()[3]}"


async def test_cancelling_removes_the_container(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "log"
    install(tmp_path, monkeypatch, STUCK.format(log=log))
    task = asyncio.create_task(sandbox.docker_exec(DockerExec(["x"])))
    await until(lambda: log.exists() and "run" in log.read_text())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert log.read_text().splitlines()[1].startswith("rm --force agentos-sandbox-")
