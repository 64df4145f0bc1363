"""Whoever stops waits for the others; who died is not waited for."""

from __future__ import annotations

import asyncio
import os
import signal

from agentos.host.parting import Parting


def fork() -> int:
    """A process that holds its end until it is killed."""
    pid = os.fork()
    if pid == 0:
        try:
            signal.pause()
        finally:
            os._exit(0)
    return pid


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


async def test_alone_nobody_is_waited_for() -> None:
    parting = Parting()
    assert await parting.everybody(5)
    parting.ready()
    parting.close()


async def test_everybody_is_there_when_the_last_one_is_ready_or_dead() -> None:
    parting = Parting()
    other = fork()
    try:
        assert not await parting.everybody(0.05)
        waiting = asyncio.ensure_future(parting.everybody(10))
        await asyncio.sleep(0)
        assert not waiting.done()
    finally:
        kill(other)
    assert await waiting
    parting.close()
