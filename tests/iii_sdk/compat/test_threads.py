"""Pools and loops beside the program."""

from __future__ import annotations

import asyncio
import gc
import threading

import pytest

from iii_sdk.compat.mailbox import Mailbox, mailbox
from iii_sdk.compat.results import PendingCall, completed
from iii_sdk.compat.threads import LoopThread, Pool


@pytest.fixture
def pool():
    pool = Pool(2, "pool")
    yield pool
    pool.shutdown()


@pytest.fixture
def loop(pool):
    loop = LoopThread("loop", pool)
    yield loop
    loop.stop(5)


def test_a_pool_starts_threads_when_needed(pool):
    assert [pool.submit(threading.get_ident).result(5) for _ in range(5)]
    barrier = threading.Barrier(2)
    both = [pool.submit(barrier.wait, 5) for _ in range(2)]
    assert sorted(future.result(5) for future in both) == [0, 1]
    with pytest.raises(ZeroDivisionError):
        pool.submit(lambda: 1 / 0).result(5)
    pool.shutdown()
    with pytest.raises(RuntimeError, match="shutting down"):
        pool.submit(int)


def test_posts_run_in_order_and_failures_stop_nothing(loop, caplog):
    seen = []
    done = threading.Event()
    loop.post(lambda: seen.append(1))
    loop.post(lambda: seen.append(1 / 0))
    loop.post(lambda: seen.append(2))
    loop.post(done.set)
    assert done.wait(5)
    assert seen == [1, 2]
    assert "a callback failed" in caplog.text


def test_an_ended_loop_takes_nothing(loop):
    started = threading.Event()

    async def forever():
        started.set()
        await asyncio.Event().wait()

    running = loop.submit(forever())
    assert started.wait(5)
    loop.stop(5)
    assert running.cancelled()
    assert loop.post(started.clear) is False
    with pytest.raises(RuntimeError, match="shutting down"):
        loop.submit(forever())
    loop.stop(5)


async def test_a_mailbox_belongs_to_its_loop():
    loop = asyncio.get_running_loop()
    assert mailbox(loop) is mailbox(loop)
    done = asyncio.Event()
    assert await asyncio.to_thread(mailbox(loop).post, done.set)
    await asyncio.wait_for(done.wait(), 5)


def test_a_mailbox_whose_loop_has_ended():
    loop = asyncio.new_event_loop()
    closed, gone = Mailbox(loop), Mailbox(loop)
    loop.close()
    assert closed.post(int) is False
    del loop
    gc.collect()
    assert gone.post(int) is False


def test_host_names_are_resolved_in_the_pool(loop):
    async def resolve():
        return await asyncio.to_thread(threading.current_thread)

    assert loop.submit(resolve()).result(5).name.startswith("pool")


def test_a_result_that_is_there():
    call = completed(7)
    assert call.done()
    assert call.result() == 7

    async def wait() -> int:
        return await call

    assert asyncio.run(wait()) == 7
    assert isinstance(call, PendingCall)


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_a_loop_outlives_a_callback_that_would_end_a_program(kind):
    thread = LoopThread("t", Pool(1, "p"))

    def end() -> None:
        raise kind

    async def task() -> None:
        raise kind

    async def alive() -> str:
        return "alive"

    thread.loop.call_soon_threadsafe(end)
    with pytest.raises(kind):
        thread.submit(task()).result(5)
    assert thread.submit(alive()).result(5) == "alive"
    thread.stop(5)
    assert thread.loop.is_closed()
