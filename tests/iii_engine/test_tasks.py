"""Tasks end when they are cancelled, whatever their libraries make of it."""

from __future__ import annotations

import asyncio

import pytest

from iii_engine.tasks import end_tasks


async def test_a_task_that_takes_a_cancellation_for_a_failure_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As a client does that tries for ever to reach its server: `connect` is refused just then."""
    monkeypatch.setattr("iii_engine.tasks.CANCEL_SECONDS", 0.01)
    tried = 0

    async def connect_for_ever() -> None:
        nonlocal tried
        while True:
            tried += 1
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                if tried < 3:
                    continue
                raise

    task = asyncio.get_running_loop().create_task(connect_for_ever())
    await asyncio.sleep(0)
    await end_tasks([task])
    assert task.cancelled()
    assert tried == 3


async def test_a_task_that_ends_with_an_error_instead_is_ended() -> None:
    async def fail() -> None:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            raise ConnectionError("lost") from None

    task = asyncio.get_running_loop().create_task(fail())
    await asyncio.sleep(0)
    await end_tasks([task])
    assert task.done()


async def test_a_task_has_time_to_say_goodbye() -> None:
    said = False

    async def work() -> None:
        nonlocal said
        try:
            await asyncio.sleep(3600)
        finally:
            await asyncio.sleep(0.2)
            said = True

    task = asyncio.get_running_loop().create_task(work())
    await asyncio.sleep(0)
    await end_tasks([task])
    assert said


async def test_tasks_that_have_ended_are_no_trouble() -> None:
    task = asyncio.get_running_loop().create_task(asyncio.sleep(0))
    await task
    await end_tasks([task])
    await end_tasks([])
