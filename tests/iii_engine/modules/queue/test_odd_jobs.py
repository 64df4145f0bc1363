"""Jobs that are alike, that cannot be read, or that fail in odd ways stop no queue."""

from __future__ import annotations

import json

import msgspec
import pytest
from tests.support.queue_desk import QueueDesk, queue_desk

from iii_engine.core.timers import SWEEP_ABOVE, Timers
from iii_engine.modules.queue.job import decode_dead, decode_job
from iii_engine.storage.base import Transaction
from iii_engine.storage.memory import MemoryStore
from iii_sdk.errors import BusError


def enqueue_by_a_worker(desk: QueueDesk, data: str) -> None:
    """As a frame of a worker, which may hold what the strict codec refuses."""
    session = desk.engine.connect(lambda session: None)
    session.take()
    action = '{"type":"enqueue","queue":"default"}'
    head = '{"type":"invokefunction","invocation_id":"1","function_id":"f",'
    frame = f'{head}"data":{data},"action":{action}}}'
    desk.engine.receive(session, frame.encode())
    (answer,) = session.take()
    assert b"messageReceiptId" in answer


async def test_a_message_id_may_come_again_while_the_first_job_is_still_there() -> None:
    async with queue_desk() as desk:
        runs = desk.failing("f", *["x"] * 4)
        for _ in range(2):
            desk.enqueue("default", "f", message_id="m", dedupe_window_ms=0)
        await desk.advance(30)
        assert len(runs) == 6
        others = desk.failing("g")
        desk.enqueue("default", "g")
        await desk.advance(1)
        assert len(others) == 1
        assert sum(desk.stats("default").values()) == 0


async def test_lone_surrogates_pass_through_a_queue_and_its_restart() -> None:
    store = MemoryStore()
    async with queue_desk(store=store) as desk:
        enqueue_by_a_worker(desk, r'{"a":"\ud800"}')
    async with queue_desk(store=store) as desk:
        heard = desk.handler("f")
        await desk.advance(6)
        assert desk.payloads("f") == [{"a": "\ud800"}]
        desk.enqueue("default", "f", 2)
        await desk.advance(1)
        assert len(heard) == 2


async def test_an_error_with_a_lone_surrogate_is_kept_without_it() -> None:
    async with queue_desk() as desk:
        desk.failing("f", *["oops \ud800"] * 3)
        desk.enqueue("default", "f", 1)
        await desk.advance(30)
        (dead,) = desk.ask("engine::queue::dlq_messages", {"topic": "default"})
        assert dead["error"] == "broken: oops ?"


async def test_a_record_that_is_no_job_dies_and_shows_what_it_was() -> None:
    store = MemoryStore()

    def damage(transaction: Transaction) -> None:
        transaction.put(
            "queue/named/default/jobs", "00000000-0000-4000-a000-000000000000", b"{oops"
        )

    store.write(damage, lambda result, error: None)
    async with queue_desk(store=store) as desk:
        runs = desk.failing("f")
        desk.enqueue("default", "f", 1)
        await desk.advance(1)
        assert len(runs) == 1
        (dead,) = desk.ask("engine::queue::dlq_messages", {"topic": "default"})
        assert (dead["payload"], dead["error"][:11]) == ("{oops", "unreadable:")


async def test_debounced_jobs_of_one_moment_take_each_others_place() -> None:
    async with queue_desk() as desk:
        desk.handler("f")
        for number in range(3000):
            desk.enqueue("default", "f", number, debounce_ms=1000, debounce_key="k")
        (queue,) = (q for q in desk.module.broker._queues.values() if q.line.depth)  # type: ignore[attr-defined]
        assert len(queue.line._due) < 200
        await desk.advance(2)
        assert desk.payloads("f") == [2999]


@pytest.mark.parametrize("field", ["delay_ms", "debounce_ms", "dedupe_window_ms"])
async def test_nobody_waits_longer_than_a_year(field: str) -> None:
    async with queue_desk() as desk:
        with pytest.raises(BusError, match=rf"\$\.{field}"):
            desk.publish("t", 1, **{field: 10**15})


def test_what_is_no_dead_letter_is_refused_and_an_odd_one_is_read() -> None:
    dead = rb'{"job":{"id":"1","created_at":1,"data":"\ud800"},"error":"e","failed_at":2}'
    assert json.loads(bytes(decode_dead(dead).job.data)) == "\ud800"
    for wrong in (b"[]", b"{", b'{"job":1}', b"\xff"):
        with pytest.raises(msgspec.DecodeError):
            decode_job(wrong)
        with pytest.raises(msgspec.DecodeError):
            decode_dead(wrong)


def test_cancelled_timers_are_not_kept_until_they_would_be_due() -> None:
    timers = Timers(lambda: 0)
    for _ in range(10 * SWEEP_ABOVE):
        timers.after(3600, list).cancel()
    assert len(timers._heap) <= SWEEP_ABOVE + 1
