"""What outlives workers, the module and the engine: conformance case 97."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.engine import EngineProcess
from tests.support.queue_desk import queue_desk
from tests.support.raw_worker import RawWorker
from tests.support.waiting import until

from iii_engine.core.clock import SeededIds, VirtualClock
from iii_engine.core.engine import Engine
from iii_engine.modules.queue.journal import Journal
from iii_engine.modules.queue.tokens import Tokens
from iii_engine.storage.memory import MemoryStore

CONFIG = """
workers:
  - name: iii-worker-manager
    config: {host: 127.0.0.1, port: 0}
  - name: iii-queue
    config:
      adapter: {name: builtin, config: {store_method: file_based, file_path: ./data/queue}}
      queue_configs: {mail: {backoff_ms: 50}}
"""
MAIL = {"type": "enqueue", "queue": "mail"}


@pytest.mark.promise("Queues", "A job that ran when the engine was killed runs again.")
async def test_modules_case_97_a_job_runs_again_after_kill_9(tmp_path: Path) -> None:
    engine = EngineProcess(tmp_path, CONFIG)
    await asyncio.to_thread(engine.start)
    try:
        async with RawWorker(engine.url) as worker:
            await worker.register("mail::send")
            for number in range(3):
                await worker.call("mail::send", number, action=MAIL)
            await worker.answer(await worker.invoked("mail::send"))
            await worker.fail(await worker.invoked("mail::send"), "broken", "no")
            await worker.fail(await worker.invoked("mail::send"), "broken", "no")
            again = await worker.invoked("mail::send")
            assert again["data"] == 1
            engine.kill()
        await asyncio.to_thread(engine.start)
        async with RawWorker(engine.url) as worker:
            await worker.register("mail::send")
            left = [await worker.invoked("mail::send") for _ in range(2)]
            assert {delivery["data"] for delivery in left} == {1, 2}
            for delivery in left:  # the second attempt of both
                await worker.fail(delivery, "broken", "no")
            for _ in range(2):
                await worker.fail(await worker.invoked("mail::send"), "broken", "the third time")

            async def dead() -> list[tuple[int, int]]:
                found = await worker.call("engine::queue::dlq_messages", {"topic": "mail"})
                return sorted((row["payload"], row["retries"]) for row in found)

            async def all_dead() -> bool:
                return await dead() == [(1, 3), (2, 3)]

            await until(all_dead)
    finally:
        engine.close()


async def test_waiting_delayed_and_dead_jobs_are_there_after_a_restart() -> None:
    clock, store = VirtualClock(), MemoryStore()
    options = {"queue_configs": {"q": {"max_retries": 2}}}
    async with queue_desk(options, clock=clock, store=store) as desk:
        desk.failing("dies", "no", "no")
        desk.enqueue("q", "dies", "dead")
        await desk.advance(2)
        desk.enqueue("q", "nobody", "delayed")
        await desk.settle()
        held = desk.handler("holds", answer=None)
        desk.enqueue("q", "holds", "active")
        await desk.settle()
        assert len(held) == 1
        assert desk.stats("q") == {"waiting": 0, "active": 1, "delayed": 1, "dlq_depth": 1}
    clock.advance(0.001)
    async with queue_desk(options, clock=clock, store=store) as desk:
        assert desk.stats("q") == {"waiting": 1, "active": 0, "delayed": 1, "dlq_depth": 1}
        for function_id in ("nobody", "holds", "dies"):
            desk.handler(function_id)
        await desk.advance(1)
        assert desk.payloads("holds") == ["active"]
        assert desk.payloads("nobody") == ["delayed"]
        assert desk.ask("iii::queue::redrive", {"queue": "q"})["redriven"] == 1
        await desk.settle()
        assert desk.payloads("dies") == ["dead"]
        assert store.read(lambda t: t.spaces("queue/")) == []


async def test_subscriptions_and_what_nobody_has_seen_yet_are_there_after_a_restart() -> None:
    clock, store = VirtualClock(), MemoryStore()
    async with queue_desk(clock=clock, store=store) as desk:
        desk.publish("early", 1)
        desk.trigger("t", "orders", "seen")
    async with queue_desk(clock=clock, store=store) as desk:
        desk.publish("orders", 2)
        desk.handler("seen")
        desk.handler("first")
        desk.trigger("t1", "early", "first")
        desk.trigger("t2", "orders", "seen")
        await desk.settle()
        assert desk.payloads("first") == [1]
        assert desk.payloads("seen") == [2]


async def test_a_subscription_is_kept_for_its_time() -> None:
    adapter = {"name": "builtin", "config": {"binding_ttl_seconds": 60}}
    clock, store = VirtualClock(), MemoryStore()
    async with queue_desk({"adapter": adapter}, clock=clock, store=store) as desk:
        desk.trigger("t", "orders", "seen")
        desk.trigger("t2", "orders", "other")
    async with queue_desk({"adapter": adapter}, clock=clock, store=store) as desk:
        desk.handler("other")
        desk.trigger("t2", "orders", "other")
        desk.publish("orders", 1)
        await desk.advance(59)
        assert desk.stats("orders")["waiting"] == 1
        await desk.advance(1)
        assert desk.stats("orders") == {"waiting": 0, "active": 0, "delayed": 0, "dlq_depth": 1}
        assert desk.dead("orders")[0]["error"] == "subscription expired"
        desk.publish("orders", 2)
        await desk.settle()
        assert desk.payloads("other") == [1, 2]
        assert desk.stats("orders")["dlq_depth"] == 1
    async with queue_desk({"adapter": adapter}, clock=clock, store=store) as desk:
        assert desk.stats("orders")["dlq_depth"] == 1


async def test_order_is_kept_when_the_clock_goes_back_between_two_engines() -> None:
    store = MemoryStore()
    numbers = list(range(4))
    for part in (numbers[:2], numbers[2:]):
        async with queue_desk(clock=VirtualClock(10**18 - part[0] * 10**12), store=store) as desk:
            for number in part:
                desk.publish("orders", number)
    async with queue_desk(store=store) as desk:
        desk.handler("seen")
        desk.trigger("t", "orders", "seen")
        await desk.settle()
        assert desk.payloads("seen") == numbers


async def test_a_job_of_an_earlier_engine_waits_a_day_for_its_function() -> None:
    clock, store = VirtualClock(), MemoryStore()
    async with queue_desk(clock=clock, store=store) as desk:
        desk.handler("returns", answer=None)
        desk.handler("stays away", answer=None)
        desk.enqueue("default", "returns", 1)
        desk.enqueue("default", "stays away", 2)
        await desk.settle()
    clock.advance(1)
    async with queue_desk(clock=clock, store=store) as desk:
        await desk.advance(86_399)
        assert desk.stats("default")["waiting"] == 2
        desk.handler("returns")
        await desk.settle()
        assert desk.payloads("returns") == [1]
        await desk.advance(1)
        assert desk.stats("default")["delayed"] == 1


@pytest.mark.parametrize("again", [False, True])
async def test_who_subscribes_again_gets_what_was_published_meanwhile(again: bool) -> None:
    clock, store = VirtualClock(), MemoryStore()
    async with queue_desk(clock=clock, store=store) as desk:
        desk.trigger("t", "orders", "seen", queue_config={"maxRetries": 1})
        desk.publish("orders", "dies")
        await desk.settle()
        desk.engine.triggers.remove("t")
        await desk.advance(0)
        assert desk.stats("orders")["dlq_depth"] == 1
        for number in range(3):
            desk.publish("orders", number)
        desk.publish("orders", "later", delay_ms=1000)
        if not again:
            desk.handler("seen")
            desk.trigger("t", "orders", "seen")
            desk.publish("orders", 3)
            await desk.advance(1)
            assert desk.payloads("seen") == [0, 1, 2, 3, "later"]
    if again:
        async with queue_desk(clock=clock, store=store) as desk:
            desk.handler("seen")
            desk.trigger("t", "orders", "seen")
            await desk.advance(1)
            assert desk.payloads("seen") == [0, 1, 2, "later"]
            assert desk.stats("orders")["dlq_depth"] == 1
    left = store.read(lambda t: t.spaces("queue/"))
    assert [space for space in left if not space.endswith(("/dead", "bindings"))] == []
    assert store.read(lambda t: t.count("queue/bindings")) == 1


async def test_a_job_that_fails_after_its_subscription_was_removed_is_dead() -> None:
    clock, store = VirtualClock(), MemoryStore()
    async with queue_desk(clock=clock, store=store) as desk:
        calls = desk.handler("seen", answer=None)
        desk.trigger("t", "orders", "seen")
        desk.publish("orders", 1)
        desk.publish("orders", 2)
        await desk.settle()
        desk.engine.triggers.remove("t")
        await desk.advance(0)
        calls[0].fail("broken", "too late")
        await desk.settle()
        assert [dead["error"] for dead in desk.dead("orders")] == ["broken: too late"]
    async with queue_desk(clock=clock, store=store) as desk:
        await desk.settle()
        assert [d["error"] for d in desk.dead("orders")] == [
            "subscription removed",
            "broken: too late",
        ]
        for dead in desk.dead("orders"):
            ids = {"queue": "orders", "message_id": dead["id"]}
            assert desk.ask("iii::queue::discard_message", ids)["redriven"] == 1
    async with queue_desk(clock=clock, store=store):
        pass
    assert store.read(lambda t: t.spaces("queue/")) == []


async def test_a_trigger_that_is_bound_anew_at_once_keeps_its_jobs() -> None:
    async with queue_desk() as desk:
        calls = desk.handler("seen", answer=None)
        desk.trigger("t", "orders", "seen", queue_config={"concurrency": 1})
        for number in range(3):
            desk.publish("orders", number)
        await desk.settle()
        desk.trigger("t", "orders", "seen", queue_config={"concurrency": 2})
        await desk.advance(1)
        assert (len(calls), desk.stats("orders")["dlq_depth"]) == (2, 0)


async def test_tokens_grow_although_the_clock_was_set_back_before_the_restart() -> None:
    clock, store = VirtualClock(), MemoryStore()
    options = {"queue_configs": {"q": {"visibility_timeout_ms": 60_000, "concurrency": 1000}}}
    tokens: list[int] = []
    for _ in range(3):
        async with queue_desk(options, clock=clock, store=store) as desk:
            calls = desk.handler("work", answer=None)
            for n in range(5):
                desk.enqueue("q", "work", n)
            await desk.settle()
            tokens += [json.loads(bytes(call.metadata))["iii_queue"]["token"] for call in calls]
            for call in calls:
                call.reply()
            await desk.settle()
        clock.jump(-3600)
    assert len(tokens) == 15
    assert tokens == sorted(set(tokens))


def test_the_store_is_told_of_tokens_before_they_are_used_up() -> None:
    store, engine = MemoryStore(), Engine(VirtualClock(), SeededIds(1))
    soon: list[Callable[[], None]] = []
    tokens = Tokens(store, Journal(store, engine.timers, soon.append), block=4)
    tokens.open(1)
    made = [tokens.make() for _ in range(4)]
    for each in soon:
        each()
    later = Tokens(store, Journal(store, engine.timers, soon.append), block=4)
    made += [tokens.make() for _ in range(3)]
    later.open(0)
    assert [*made, later.make()] == [*range(1000, 1007), 1008]
