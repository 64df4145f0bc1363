"""Jobs in NATS end once, whatever becomes of the server, of its consumers, or of this engine."""

from __future__ import annotations

import asyncio
import json
import shutil
import time
from typing import Any

import pytest
from tests.support.queue_engine import LEASE_MS, Shared, has_dead, holds, lose, running, shared
from tests.support.servers import NatsServer
from tests.support.waiting import until

from iii_engine.core.router import Call
from iii_engine.modules.queue.job import QueueName
from iii_sdk.errors import BusError

FIFO = {"type": "fifo", "message_group_field": "g", "concurrency": 4, "max_retries": 1}


def hold(engine: Shared) -> list[Call]:
    """Register `work`, which answers nothing."""
    calls: list[Call] = []
    engine.core.add_function("work", calls.append, module="test")
    return calls


async def reload(engine: Shared, **queues: Any) -> None:
    """Configure these queues in place of those that there are."""
    (entry,) = [each for each in engine.config.entries if each.name == "iii-queue"]
    options = dict(entry.config) | {"queue_configs": queues}  # type: ignore[call-overload]
    engine.configure({"iii-queue": options})
    assert await engine.app.apply(engine.app.prepare(engine.config)) == []


@pytest.mark.promise(
    "Queues", "A NATS that hangs while a job dies, or is redriven, makes no second one of it."
)
async def test_a_job_that_dies_while_the_server_hangs_is_dead_once(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("iii_engine.modules.queue.jetstream.stored.ANSWER_SECONDS", 0.2)
    async with shared(nats_server, q={"max_retries": 1}) as (engine,):
        calls = hold(engine)
        await engine.enqueue("q", "work", 1)
        await until(lambda: len(calls) == 1)
        nats_server.pause()
        calls[0].fail("broken", "for good")
        await until(lambda: caplog.text.count("cannot be reached") >= 3)
        nats_server.resume()
        await until(lambda: has_dead(engine, "q", 1))
        await until(lambda: holds(engine, "q", (0, 1)))
        assert (await engine.ask("iii::queue::redrive", {"queue": "q"}))["redriven"] == 1
        await until(lambda: len(calls) == 2)
        calls[1].reply()
        await until(lambda: holds(engine, "q", (0, 0)))
        assert len(calls) == 2


@pytest.mark.promise(
    "Queues", "A NATS that is killed leaves nothing of jobs that were handled before."
)
async def test_deletions_that_a_killed_server_has_forgotten_are_made_again(
    nats_server: NatsServer,
) -> None:
    async with shared(nats_server, q={}) as (engine,):
        calls = hold(engine)
        for n in range(5):
            await engine.enqueue("q", "work", {"n": n, "g": "a"})
        await until(lambda: len(calls) == 5)
        jobs = engine.app.modules["iii-queue"].broker.queue(QueueName("q")).jobs.name  # type: ignore[attr-defined]
        (stored,) = nats_server.folder.glob(f"**/streams/{jobs}/msgs")
        before = nats_server.folder / "before"
        await asyncio.to_thread(nats_server.stop)
        shutil.copytree(stored, before)
        await asyncio.to_thread(nats_server.start)
        await until(lambda: engine.status == "running")
        for call in calls:
            call.reply()
        await until(lambda: holds(engine, "q", (0, 0)))
        await asyncio.to_thread(nats_server.stop)
        shutil.rmtree(stored)
        shutil.move(before, stored)
        await asyncio.to_thread(nats_server.start)
        await until(lambda: engine.status == "running")
        await until(lambda: holds(engine, "q", (0, 0)))
        heard = engine.function("work")
        await reload(engine, q=FIFO)
        await engine.enqueue("q", "work", {"n": 5, "g": "a"})
        await until(lambda: heard == [{"n": 5, "g": "a"}])


@pytest.mark.parametrize("ends", ["well", "dead"])
@pytest.mark.parametrize(("old", "new"), [(FIFO, {"max_retries": 1}), ({"max_retries": 1}, FIFO)])
async def test_what_runs_when_a_queue_becomes_of_another_type_runs_once(
    nats_server: NatsServer, old: dict[str, Any], new: dict[str, Any], ends: str
) -> None:
    async with shared(nats_server, q=old) as (engine,):
        calls = hold(engine)
        await engine.enqueue("q", "work", {"g": "a"})
        await until(lambda: len(calls) == 1)
        await reload(engine, q=new)
        await engine.enqueue("q", "work", {"g": "b"})
        other = engine.function("other")
        await engine.enqueue("default", "other", 1)
        await until(lambda: other == [1])
        assert len(calls) == 1
        calls[0].reply() if ends == "well" else calls[0].fail("broken", "for good")
        await until(lambda: len(calls) == 2)
        calls[1].reply()
        await until(lambda: holds(engine, "q", (0, int(ends == "dead"))))
        broker = engine.app.modules["iii-queue"].broker  # type: ignore[attr-defined]
        await until(lambda: not broker._leases.ending)
        assert len(calls) == 2
        assert len(await engine.dead("q")) == int(ends == "dead")


async def test_an_engine_goes_on_with_the_type_that_another_one_has_given_a_queue(
    nats_server: NatsServer,
) -> None:
    async with shared(nats_server, 2, q={"max_retries": 1}) as (one, two):
        first, second = one.function("work"), two.function("work")
        await one.enqueue("q", "work", {"g": "a"})
        await until(lambda: first or second)
        late = hold(one)
        two.core.remove_function("work")
        await one.enqueue("q", "work", {"g": "late"})
        await until(lambda: len(late) == 1, timeout=20)
        await reload(two, q=FIFO)
        await until(lambda: kinds(two, lanes=True))
        second = two.function("work")
        await until(lambda: kinds(one, lanes=True))
        late[0].reply()  # to a consumer that is not there any more
        broker = one.app.modules["iii-queue"].broker  # type: ignore[attr-defined]
        await until(lambda: not broker._leases.ending)
        for call in late[1:]:
            call.reply()
        await one.stop()
        await two.enqueue("q", "work", {"g": "b"})
        await until(lambda: {"g": "b"} in second, timeout=20)
        await until(lambda: holds(two, "q", (0, 0)))


def kinds(engine: Shared, *, lanes: bool) -> bool:
    """Whether its jobs come on lanes now."""
    queue = engine.app.modules["iii-queue"].broker.queue(QueueName("q"))  # type: ignore[attr-defined]
    return (len(queue.lanes.all) > 1) is lanes and bool(queue.lanes.all)


async def test_an_engine_that_stood_still_starts_nothing_that_may_be_others_by_now(
    nats_server: NatsServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with shared(nats_server, q={}) as (engine,):
        broker = engine.app.modules["iii-queue"].broker  # type: ignore[attr-defined]
        noticed: list[bool] = []

        def work(call: Call) -> None:
            noticed.append("are asked for anew" in caplog.text)
            call.reply()

        engine.core.add_function("work", work, module="test")
        await until(lambda: kinds(engine, lanes=False))
        broker._leases.renewed -= 100  # as if nothing had run since then
        await engine.enqueue("q", "work", 1)
        await until(lambda: noticed == [True])
        await until(lambda: holds(engine, "q", (0, 0)))


async def test_what_ran_when_an_engine_stood_still_is_not_its_own_any_more(
    nats_server: NatsServer,
) -> None:
    async with shared(nats_server, q={"visibility_timeout_ms": 60_000}) as (engine,):
        tokens: list[int] = []
        calls: list[Call] = []

        def work(call: Call) -> None:
            calls.append(call)
            tokens.append(json.loads(bytes(call.metadata))["iii_queue"]["token"])

        engine.core.add_function("work", work, module="test")
        job = await engine.enqueue("q", "work", 1)
        await until(lambda: len(calls) == 1)
        time.sleep(1.5 * LEASE_MS / 1000)  # noqa: ASYNC251 (as if it were stopped)
        await until(lambda: len(calls) == 2)
        assert tokens[0] < tokens[1]
        beat = {"queue": "q", "message_id": job}
        for token, renewed in zip(tokens, (False, True), strict=True):
            answer = await engine.ask("iii::queue::heartbeat", {**beat, "token": token})
            assert answer["renewed"] is renewed
        calls[0].reply()
        calls[1].reply()
        await until(lambda: holds(engine, "q", (0, 0)))


@pytest.mark.promise(
    "Queues",
    "Only failures use up the attempts at a job in NATS: not an engine that is lost with it, nor a "
    "server that is started anew.",
)
async def test_an_engine_that_is_lost_with_a_job_uses_up_no_attempt(
    nats_server: NatsServer,
) -> None:
    async with shared(nats_server, 2, q={"max_retries": 1}) as (one, two):
        held = hold(one)
        await one.enqueue("q", "work", 1)
        await until(lambda: running(one) == 1, timeout=20)
        failing = two.function("work", "for good")
        lose(one)
        await until(lambda: holds(two, "q", (0, 1)), timeout=20)
        assert (len(held), failing) == (1, [1])
        (dead,) = await two.dead("q")
        assert (dead["retries"], dead["error"]) == (1, "broken: for good")


async def test_a_server_that_is_started_anew_uses_up_no_attempt_of_a_delayed_job(
    nats_server: NatsServer,
) -> None:
    async with shared(nats_server, q={"max_retries": 2, "backoff_ms": 600}) as (engine,):
        heard = engine.function("work", "one", "two", "three")
        await engine.enqueue("q", "work", 1, delay_ms=500)
        for runs in (0, 1):
            await until(lambda runs=runs: len(heard) >= runs)  # type: ignore[misc]
            for _ in range(2):
                await asyncio.to_thread(nats_server.restart)
                await until(lambda: engine.status == "running")
        await until(lambda: holds(engine, "q", (0, 1)))
        assert heard == [1, 1]


@pytest.mark.parametrize("orderly", [True, False])
@pytest.mark.promise(
    "Queues", "Two jobs in NATS with one idempotency key are one, also after a restart of NATS."
)
async def test_a_key_is_known_after_a_restart_of_the_server(
    nats_server: NatsServer, orderly: bool
) -> None:
    async with shared(nats_server) as (engine,):
        heard, told = engine.function("work"), engine.function("listen")
        assert engine.bind("t", "listen", {}) is None
        message = {"topic": "t", "data": 1, "message_id": "m", "return_receipt": True}

        async def publish() -> bool:
            receipt = await engine.ask("iii::durable::publish", message)
            duplicate: bool = receipt["duplicate"]
            return duplicate

        first = await engine.enqueue("default", "work", 1, idempotency_key="k")
        assert await publish() is False
        await until(lambda: heard == [1] == told)
        await until(lambda: holds(engine, "default", (0, 0)))
        await asyncio.to_thread(nats_server.stop if orderly else nats_server.kill)
        await asyncio.to_thread(nats_server.start)
        await until(lambda: engine.status == "running")
        assert await engine.enqueue("default", "work", 2, idempotency_key="k") == first
        assert await publish() is True
        await engine.enqueue("default", "work", 3)
        await until(lambda: 3 in heard)
        assert (heard, told) == ([1, 3], [1])


async def test_a_key_counts_for_its_window(nats_server: NatsServer) -> None:
    async with shared(nats_server) as (engine,):
        heard = engine.function("work")
        short = {"idempotency_key": "k", "dedupe_window_ms": 400}
        first = await engine.enqueue("default", "work", 1, **short)
        assert await engine.enqueue("default", "work", 2, **short) == first
        await until(lambda: heard == [1])

        async def again() -> bool:
            await engine.enqueue("default", "work", 3, **short)
            return 3 in heard

        await until(again)
        await engine.enqueue("default", "work", 4, idempotency_key="other", dedupe_window_ms=0)
        with pytest.raises(BusError, match=r"\$.dedupe_window_ms: at most 86400000"):
            await engine.enqueue(
                "default", "work", 5, idempotency_key="k", dedupe_window_ms=86_400_001
            )
        await until(lambda: 4 in heard)
        assert 2 not in heard


async def test_dead_jobs_are_redriven_and_shown_some_at_a_time(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("iii_engine.modules.queue.jetstream.stored.TOGETHER", 4)
    async with shared(nats_server, q={"max_retries": 1, "concurrency": 1}) as (engine,):
        engine.function("work", *(str(n) for n in range(30)))
        jobs = [await engine.enqueue("q", "work", n) for n in range(30)]
        await until(lambda: has_dead(engine, "q", 30))
        for n in [*range(2, 14), 20]:
            query = {"queue": "q", "message_id": jobs[n]}
            assert (await engine.ask("iii::queue::discard_message", query))["redriven"] == 1
        left = [0, 1, *range(14, 20), *range(21, 30)]
        assert sorted(dead["payload"] for dead in await engine.dead("q")) == left
        page = {"topic": "q", "offset": 7, "limit": 4}
        shown = await engine.ask("engine::queue::dlq_messages", page)
        assert shown == (await engine.dead("q"))[7:11]
        heard = engine.function("work")
        assert (await engine.ask("iii::queue::redrive", {"queue": "q"}))["redriven"] == len(left)
        await until(lambda: sorted(heard) == left)
        await until(lambda: holds(engine, "q", (0, 0)))
