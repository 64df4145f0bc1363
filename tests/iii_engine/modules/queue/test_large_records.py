"""Many records of a megabyte: neither memory nor the loop has to carry them at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
from tests.support.desk import Desk
from tests.support.loop_watch import LoopWatch, loop_watch
from tests.support.queue_desk import QueueDesk
from tests.support.waiting import until

from iii_engine.core.clock import SeededIds, VirtualClock
from iii_engine.core.engine import Engine
from iii_engine.core.queue_keys import Keys
from iii_engine.modules.base import Host
from iii_engine.modules.queue import QueueModule
from iii_engine.modules.queue.job import DeadJob, Draft, Job, encode_job
from iii_engine.modules.queue.topic_table import Bound
from iii_engine.storage.base import Transaction
from iii_engine.storage.embedded import EmbeddedStore
from iii_sdk.protocol import JobOptions

MANY = 60
MEGABYTE = 1 << 20

#: At most some pieces of 4 MiB are in memory, in a few forms each.
MEMORY = 24 * MEGABYTE

#: Seconds; a hundred megabytes at once would take several times as many.
PAUSE = 0.35


def job(number: int) -> Job:
    key = Keys(SeededIds(number)).make(1_700_000_000_000 + number)
    data = msgspec.Raw(b'{"n":%d,"text":"%b"}' % (number, b"x" * MEGABYTE))
    return Job(id=key, created_at=1, data=data, function_id="work")


def bound(function_id: str) -> Bound:
    return Bound(topic="topic", function_id=function_id, base=f"queue/topic/{function_id}")


async def fill(store: EmbeddedStore, space: str, *dead_at: int) -> None:
    """With `dead_at`, dead jobs that died then, and so many later."""
    for number in range(MANY):
        made = job(number)

        def put(transaction: Transaction, made: Job = made, number: int = number) -> None:
            dead = [DeadJob(made, "broken: x", at + 2000 * number) for at in dead_at]
            record = msgspec.json.encode(dead[0]) if dead else encode_job(made)
            transaction.put(space, made.id, record)

        await write(store, put)


async def write(store: EmbeddedStore, work: Callable[[Transaction], None]) -> None:
    done: list[BaseException | None] = []
    store.write(work, lambda _, error: done.append(error))
    await until(lambda: done)
    assert done == [None]


@asynccontextmanager
async def store_in(folder: Path) -> AsyncIterator[EmbeddedStore]:
    store = EmbeddedStore(folder / "store.db", relaxed=True)
    await store.open()
    yield store
    await store.close()


@asynccontextmanager
async def desk_on(store: EmbeddedStore) -> AsyncIterator[QueueDesk]:
    """The module on a store that was filled; its settings of topics are the usual ones."""
    engine = Engine(VirtualClock(), SeededIds(1))
    options = msgspec.convert({"queue_configs": {"q": {"concurrency": 1}}}, QueueModule.Options)
    module = QueueModule("iii-queue", options, Host(engine, store, asyncio.get_running_loop()))
    await module.start()
    yield QueueDesk(Desk(engine, engine.clock, store, module, "queue"))  # type: ignore[arg-type]
    await module.stop()


def check(watch: LoopWatch) -> None:
    assert watch.peak < MEMORY
    assert watch.longest < PAUSE


async def asked(desk: QueueDesk, function_id: str, **data: Any) -> Any:
    """The answer, when it is there."""
    answers: list[tuple[msgspec.Raw, Any]] = []
    desk.engine.call(function_id, msgspec.json.encode(data), lambda *a: answers.append(a))
    await until(lambda: answers)
    assert answers[0][1] is None
    return msgspec.json.decode(answers[0][0])


async def test_waiting_jobs_die_in_pieces(tmp_path: Path) -> None:
    async with store_in(tmp_path) as store:
        one = bound("one")
        await write(store, one.save)
        await fill(store, f"{one.base}/jobs")
        async with desk_on(store) as desk:
            with loop_watch() as watch:
                await desk.advance(90_000)  # nobody comes back: the subscription ends
                await until(lambda: desk.stats("topic")["dlq_depth"] == MANY)
            check(watch)


async def test_jobs_move_to_another_place_in_pieces(tmp_path: Path) -> None:
    async with store_in(tmp_path) as store:
        before, removed = bound(""), bound("one")
        removed.removed = True
        await write(store, before.save)
        await write(store, removed.save)
        await write(store, lambda t: t.put(f"{removed.base}/dead", "old", b"{}"))
        await fill(store, f"{before.base}/jobs")
        async with desk_on(store) as desk:
            desk.handler("one", answer=None)
            with loop_watch() as watch:
                desk.trigger("t", "topic", "one", queue_config={"concurrency": 1})
                left = f"{before.base}/jobs"
                await until(lambda: store.read(lambda t: t.count(left)) == 0)
                await until(lambda: desk.stats("topic")["waiting"] == MANY - 1)
            check(watch)


async def test_dead_jobs_run_again_in_pieces(tmp_path: Path) -> None:
    async with store_in(tmp_path) as store:
        await fill(store, "queue/named/q/dead", 1)
        async with desk_on(store) as desk:
            desk.handler("work", answer=None)
            with loop_watch() as watch:
                answer = await asked(desk, "iii::queue::redrive", queue="q")
            assert answer == {"queue": "q", "redriven": MANY}
            check(watch)


async def test_a_page_of_dead_jobs_ends_before_it_is_too_large(tmp_path: Path) -> None:
    async with store_in(tmp_path) as store:
        await fill(store, "queue/named/q/dead", 1)
        async with desk_on(store) as desk:
            with loop_watch() as watch:
                page = await asked(desk, "engine::queue::dlq_messages", topic="q", limit=1000)
            assert [each["payload"]["n"] for each in page] == [59, 58, 57]
            check(watch)
            page = await asked(desk, "engine::queue::dlq_messages", topic="q", offset=3, limit=2)
            assert [each["payload"]["n"] for each in page] == [56, 55]


async def test_a_page_of_a_topic_is_merged_from_its_functions_in_pieces(tmp_path: Path) -> None:
    async with store_in(tmp_path) as store:
        for shift, function_id in enumerate(("one", "two")):
            each = bound(function_id)
            await write(store, each.save)
            await fill(store, f"{each.base}/dead", 1000 * shift)
        async with desk_on(store) as desk:
            shown = []
            with loop_watch() as watch:
                while len(shown) < 40:
                    page = await asked(
                        desk,
                        "engine::queue::dlq_messages",
                        topic="topic",
                        offset=len(shown),
                        limit=500,
                    )
                    assert page
                    shown += [(dead["payload"]["n"], dead["failed_at"]) for dead in page]
            check(watch)
        newest_first = [(n, 2 * n + shift) for n in reversed(range(MANY)) for shift in (1, 0)]
        assert shown == newest_first[: len(shown)]


async def test_too_many_dead_jobs_are_dropped_in_pieces(tmp_path: Path) -> None:
    allowed = MANY // 2
    async with store_in(tmp_path) as store:
        await fill(store, "queue/named/q/dead", 1)
        async with desk_on(store) as desk:
            queue = {"dead_letter_max": allowed, "max_retries": 1}
            options = msgspec.convert({"queue_configs": {"q": queue}}, QueueModule.Options)
            assert await desk.module.reconfigure(options)
            desk.failing("work", "no")
            with loop_watch() as watch:
                draft = Draft(data=msgspec.Raw(b"1"), options=JobOptions(), function_id="work")
                desk.module.broker.enqueue("q", draft, lambda receipt, error: None)
                await until(lambda: desk.stats("q")["dlq_depth"] == allowed)
            check(watch)
