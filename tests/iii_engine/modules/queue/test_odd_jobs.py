"""Jobs that are alike, that cannot be read, or that fail in odd ways stop no queue."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
import pytest
from tests.support.queue_desk import QueueDesk, queue_desk

from iii_engine.core.clock import VirtualClock
from iii_engine.core.router import Call
from iii_engine.core.timers import SWEEP_ABOVE, Timers
from iii_engine.modules.queue.job import Lease, QueueName, decode_dead, decode_job
from iii_engine.modules.queue.publication import Publication
from iii_engine.modules.queue.run import Run
from iii_engine.storage.base import StoreError, Transaction
from iii_engine.storage.buffer import Buffer
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


def held_up(desk: QueueDesk, monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], None]]:
    """The store tells of its writes only when the test calls what is in this list."""
    late: list[Callable[[], None]] = []
    write = desk.store.write

    def later(work: Callable[[Transaction], Any], done: Callable[..., None]) -> None:
        write(work, lambda *told: late.append(partial(done, *told)))

    monkeypatch.setattr(desk.store, "write", later)
    return late


async def test_a_job_that_is_being_cancelled_does_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    async with queue_desk() as desk:
        runs = desk.failing("f", "x")
        desk.enqueue("default", "g")
        await desk.advance(10)
        receipt = desk.enqueue("default", "f")
        late = held_up(desk, monkeypatch)
        answers: list[bool | None] = []
        queue = QueueName("default")
        desk.module.broker.cancel(queue, receipt, lambda done, error: answers.append(done))
        await desk.settle()
        assert (answers, runs) == ([], [])
        monkeypatch.undo()
        for each in late:
            each()
        await desk.advance(10)
        assert (answers, runs) == ([True], [])
        assert desk.stats("default")["delayed"] == 0


async def test_a_job_whose_cancellation_is_not_stored_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    async with queue_desk() as desk:
        runs = desk.failing("f")
        receipt = desk.enqueue("default", "f", delay_ms=1000)

        def refuse(work: Callable[[Transaction], Any], done: Callable[..., None]) -> None:
            work(Buffer(desk.store._maps))
            done(None, StoreError("full"))

        monkeypatch.setattr(desk.store, "write", refuse)
        errors: list[BaseException | None] = []
        queue = QueueName("default")
        desk.module.broker.cancel(queue, receipt, lambda done, error: errors.append(error))
        monkeypatch.undo()
        assert isinstance(errors[0], StoreError)
        await desk.advance(2)
        assert len(runs) == 1
        assert sum(desk.stats("default").values()) == 0


async def test_a_job_that_was_replaced_while_it_ran_does_not_come_back() -> None:
    async with queue_desk() as desk:
        runs = []

        def handle(call: Call) -> None:
            runs.append(call)
            space = "queue/named/default/jobs"
            desk.store.write(lambda t: t.delete_space(space), lambda *told: None)
            call.fail("broken", "x")

        desk.engine.add_function("f", handle, module="test")
        desk.enqueue("default", "f")
        await desk.advance(30)
        assert len(runs) == 1
        assert desk.store.read(lambda t: t.spaces("queue/named/default")) == []


async def test_a_dead_job_whose_id_lives_again_gets_another_one() -> None:
    async with queue_desk() as desk:
        runs = desk.failing("f", *["x"] * 3)
        desk.enqueue("default", "f", 1, message_id="m", dedupe_window_ms=0)
        await desk.advance(30)
        assert desk.stats("default")["dlq_depth"] == 1
        store = desk.store
        dead = store.read(lambda t: t.get("queue/named/default/dead", "m"))
        assert dead is not None
        store.write(lambda t: t.delete("queue/named/default/dead", "m"), lambda *told: None)
        desk.enqueue("default", "f", 2, message_id="m", delay_ms=60_000, dedupe_window_ms=0)
        store.write(lambda t: t.put("queue/named/default/dead", "m", dead), lambda *told: None)
        desk.ask("iii::queue::redrive", {"queue": "default"})
        await desk.advance(120)
        assert len(runs) == 5
        assert sum(desk.stats("default").values()) == 0


async def test_the_oldest_dead_jobs_are_dropped_also_after_some_were_redriven() -> None:
    config = {"queue_configs": {"v": {"max_retries": 1, "dead_letter_max": 3}}}
    async with queue_desk(config) as desk:
        desk.failing("f", *["x"] * 20)
        for number in range(8):
            desk.enqueue("v", "f", message_id=f"m{number}")
            await desk.advance(1)
        desk.ask("iii::queue::redrive_message", {"queue": "v", "message_id": "m5"})
        await desk.advance(1)
        desk.enqueue("v", "f", message_id="m8")
        await desk.advance(1)
        assert [dead["id"] for dead in desk.dead("v")] == ["m8", "m5", "m7"]


async def test_jobs_taken_with_one_that_cannot_be_run_do_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with queue_desk() as desk:
        runs = desk.failing("f")
        start = Run.start
        broken = [ValueError("oops")]

        def sometimes(run: Run) -> None:
            if broken:
                raise broken.pop()
            start(run)

        monkeypatch.setattr(Run, "start", sometimes)
        for _ in range(3):
            desk.enqueue("default", "f")
        await desk.advance(0.1)
        assert len(runs) == 2
        await desk.advance(10)
        assert len(runs) == 3


async def test_a_broker_that_fails_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async with queue_desk() as desk:
        runs = desk.failing("f")
        broker = desk.module.broker
        take, broken = broker.take, [ValueError("oops")]

        def sometimes(queue: QueueName, limit: int, done: Callable[[list[Lease]], None]) -> None:
            if broken:
                raise broken.pop()
            take(queue, limit, done)

        monkeypatch.setattr(broker, "take", sometimes)
        desk.enqueue("default", "f")
        await desk.advance(2)
        assert len(runs) == 1


async def test_who_made_a_job_is_answered_whatever_follows(monkeypatch: pytest.MonkeyPatch) -> None:
    async with queue_desk() as desk:

        def fail(publication: Publication) -> None:
            raise ValueError("oops")

        monkeypatch.setattr(Publication, "committed", fail)
        assert desk.enqueue("default", "f")


async def test_keys_with_long_windows_do_not_keep_those_that_are_over() -> None:
    async with queue_desk() as desk:
        desk.handler("f")
        for key in ("a", "z", "k"):
            desk.enqueue("default", "f", idempotency_key=key, dedupe_window_ms=10**9)
            desk.enqueue("default", "f", debounce_key=key, debounce_ms=10**9)
        for number in range(300):
            desk.enqueue("default", "f", idempotency_key=f"k{number}", dedupe_window_ms=1)
            desk.enqueue("default", "f", debounce_key=f"k{number}", debounce_ms=1)
            await desk.advance(0.01)
        for space in ("queue/seen/named/default", "queue/named/default/debounced"):
            assert desk.store.read(lambda t, space=space: t.count(space)) < 20  # type: ignore[misc]


async def test_nothing_is_redriven_for_a_subscription_that_was_removed() -> None:
    async with queue_desk() as desk:
        desk.failing("f", "x")
        desk.trigger("t", "top", "f", queue_config={"maxRetries": 1})
        desk.publish("top", 1)
        await desk.advance(5)
        desk.engine.triggers.remove("t")
        await desk.advance(1)
        assert desk.ask("iii::queue::redrive", {"queue": "top"})["redriven"] == 0
        assert desk.stats("top") == {"waiting": 0, "active": 0, "delayed": 0, "dlq_depth": 1}


def set_clock(desk: QueueDesk, monkeypatch: pytest.MonkeyPatch, seconds: int) -> None:
    now = desk.clock.now_ns
    monkeypatch.setattr(desk.clock, "now_ns", lambda: now() + seconds * 10**9)


async def test_a_rate_does_not_wait_for_a_clock_that_was_set_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    queue = {"key_rate_limit": 1, "key_rate_period_ms": 1000}
    async with queue_desk({"queue_configs": {"v": queue}}) as desk:
        runs = desk.failing("f")
        for _ in range(3):
            desk.enqueue("v", "f")
        await desk.advance(0.2)
        set_clock(desk, monkeypatch, -3600)
        desk.enqueue("v", "f")
        await desk.advance(10)
        assert len(runs) == 4


async def test_a_delayed_job_runs_soon_when_the_clock_was_set_past_its_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with queue_desk() as desk:
        runs = desk.failing("f")
        desk.enqueue("default", "f", delay_ms=3600_000)
        await desk.advance(1)
        set_clock(desk, monkeypatch, 7200)
        await desk.advance(61)
        assert len(runs) == 1


async def test_all_topics_are_looked_at_in_one_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    async with queue_desk() as desk:
        for number in range(20):
            desk.publish(f"t{number}", 1)
        broker, asked = desk.module.broker, []
        topic_queues = broker.topic_queues
        monkeypatch.setattr(broker, "topic_queues", lambda: asked.append(1) or topic_queues())
        desk.ask("engine::queue::dlq_topics", {})
        list(desk.engine.meters.collect("gauge"))
        assert len(asked) <= 4


async def test_only_some_large_jobs_are_read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    store = MemoryStore()
    async with queue_desk(store=store) as desk:
        for number in range(60):
            desk.enqueue("default", "f", [number, "x" * 1_000_000], delay_ms=1000)
    read: list[int] = []
    page = store.page

    def counted(space: str, **how: Any) -> list[tuple[str, bytes]]:
        found = page(space, **how)
        read.append(sum(len(record) for _, record in found))
        return found

    monkeypatch.setattr(store, "page", counted)
    async with queue_desk(store=store) as desk:
        await desk.settle()
        assert 0 < sum(read) < 20_000_000
        desk.handler("f")
        await desk.advance(60)
        assert sorted(first for first, _ in desk.payloads("f")) == list(range(60))


async def test_a_job_of_low_priority_holds_nobody_up_after_a_restart() -> None:
    clock, store = VirtualClock(), MemoryStore()
    options = {"queue_configs": {"q": {"concurrency": 1}}}
    async with queue_desk(options, clock=clock, store=store) as desk:
        desk.ask("iii::queue::pause", {"queue": "q"})
        desk.enqueue("q", "f", "low", priority=-5)
    async with queue_desk(options, clock=clock, store=store) as desk:
        desk.enqueue("q", "f", "usual")
        desk.handler("f")
        desk.ask("iii::queue::resume", {"queue": "q"})
        await desk.settle()
        assert desk.payloads("f") == ["usual", "low"]
