"""Queues of a real engine, seen by workers on sockets: wire cases 31 and 32, modules case 96."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator

import pytest
from tests.support.engine import RunningEngine
from tests.support.raw_worker import CallFailed, RawWorker
from tests.support.waiting import until

from iii_engine.core.spans import Span

FIFO = {"type": "fifo", "message_group_field": "who"}
MAIL = {"type": "enqueue", "queue": "mail"}


@pytest.fixture
async def engine() -> AsyncIterator[RunningEngine]:
    queues = {"mail": {"backoff_ms": 100}, "late": {"backoff_ms": 600_000}, "line": FIFO}
    running = RunningEngine({"iii-queue": {"queue_configs": queues}})
    await running.start()
    yield running
    await running.stop()


async def stats(worker: RawWorker, topic: str) -> dict[str, int]:
    question = {"topic": topic, "details": True}
    found: dict[str, int] = await worker.call("engine::queue::topic_stats", question)
    return found


async def test_wire_case_31_the_callee_gets_exactly_the_data(engine: RunningEngine) -> None:
    async with RawWorker(engine.url) as caller, RawWorker(engine.url) as worker:
        await worker.register("mail::send")
        data = {"to": "a", "_caller_worker_id": "forged", "n": [1, {}]}
        receipt = await caller.call("mail::send", data, action=MAIL)
        assert list(receipt) == ["messageReceiptId"]
        assert uuid.UUID(receipt["messageReceiptId"]).version == 4
        delivery = await worker.invoked("mail::send")
        assert delivery["data"] == {"to": "a", "n": [1, {}]}
        await worker.answer(delivery)
        await worker.settle()
        assert (await stats(caller, "mail"))["depth"] == 0


async def test_wire_case_31_void_enqueues_are_not_answered(engine: RunningEngine) -> None:
    async with RawWorker(engine.url) as worker:
        await worker.register("mail::send")
        await worker.send("invokefunction", function_id="mail::send", data=1, action=MAIL)
        await worker.answer(await worker.invoked("mail::send"))
        assert [f for f in worker.frames if f["type"] == "invocationresult"] == []


async def test_wire_case_32_what_cannot_be_enqueued_is_told(engine: RunningEngine) -> None:
    async with RawWorker(engine.url) as caller:
        with pytest.raises(CallFailed) as refused:
            await caller.call("f", 1, action={"type": "enqueue", "queue": "nowhere"})
        assert refused.value.code == "enqueue_error"
        assert "nowhere" in refused.value.message
        with pytest.raises(CallFailed) as refused:
            await caller.call("f", {"a": 1}, action={"type": "enqueue", "queue": "line"})
        assert refused.value.code == "enqueue_error"
        assert "who" in refused.value.message


async def test_wire_case_42_a_job_continues_the_trace_of_who_made_it(
    engine: RunningEngine,
) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    context = {"traceparent": f"00-{trace}-00f067aa0ba902b7-01", "baggage": "tenant=a"}
    async with RawWorker(engine.url) as worker:
        await worker.register("mail::send")
        await worker.register_trigger("durable:subscriber", "mail::send", {"topic": "news"})
        await worker.call("mail::send", 1, action=MAIL, **context)
        await worker.call("iii::durable::publish", {"topic": "news", "data": 2}, **context)
        for _ in range(2):
            delivery = await worker.invoked("mail::send")
            assert delivery["traceparent"].split("-")[1] == trace
            assert delivery["baggage"] == "tenant=a"
            await worker.answer(delivery)


@pytest.mark.promise("Queues", "What is published while a subscriber is away waits for its return.")
async def test_modules_case_96_jobs_wait_for_a_worker_that_is_away(engine: RunningEngine) -> None:
    async with RawWorker(engine.url) as publisher:
        async with RawWorker(engine.url) as worker:
            await worker.register("seen")
            await worker.register_trigger("queue", "seen", {"topic": "orders"})
        await publisher.settle()
        for number in range(3):
            await publisher.call("enqueue", {"topic": "orders", "data": number})
        assert (await stats(publisher, "orders"))["waiting"] == 3
        async with RawWorker(engine.url) as worker:
            await worker.register("seen")
            await worker.register_trigger("queue", "seen", {"topic": "orders"})
            seen = [(await worker.invoked("seen")) for _ in range(3)]
            assert [delivery["data"] for delivery in seen] == [0, 1, 2]
            for delivery in seen:
                await worker.answer(delivery)
            await worker.settle()
            assert (await stats(publisher, "orders"))["depth"] == 0


@pytest.mark.promise("Queues", "A job whose worker is lost runs at once on another one.")
async def test_a_job_runs_elsewhere_as_soon_as_its_worker_is_lost(engine: RunningEngine) -> None:
    async with RawWorker(engine.url) as caller, RawWorker(engine.url) as other:
        async with RawWorker(engine.url) as lost:
            await lost.register("mail::send")
            action = {"type": "enqueue", "queue": "late"}  # the pause after a failure is long
            await caller.call("mail::send", {"n": 1}, action=action)
            await lost.invoked("mail::send")
            await other.register("mail::send")
        again = await other.invoked("mail::send")
        assert again["data"] == {"n": 1}
        await other.answer(again)


async def test_an_unregistered_trigger_ends_its_subscription(engine: RunningEngine) -> None:
    async with RawWorker(engine.url) as worker:
        await worker.register("seen")
        config = {"topic": "orders", "queue_config": {"concurrency": 1}}
        trigger = await worker.register_trigger("queue", "seen", config)
        for number in range(3):
            await worker.call("enqueue", {"topic": "orders", "data": number})
        first = await worker.invoked("seen")
        await worker.send("unregistertrigger", id=trigger, trigger_type="queue")
        while (found := await stats(worker, "orders"))["dlq_depth"] < 2:
            pass
        assert (found["waiting"], found["active"]) == (0, 1)
        await worker.answer(first)
        dead = await worker.call("engine::queue::dlq_messages", {"topic": "orders"})
        assert [(d["payload"], d["error"]) for d in dead] == [
            (2, "subscription removed"),
            (1, "subscription removed"),
        ]
        await worker.settle()
        assert (await stats(worker, "orders"))["depth"] == 0


async def test_the_trace_of_a_job(engine: RunningEngine) -> None:
    trace = "ab" * 16

    def spans() -> dict[str, Span]:
        found = [span for span in engine.core.spans if span.trace_id == trace]
        return {span.name: span for span in found}

    async with RawWorker(engine.url) as worker:
        await worker.register("mail::send")
        context = {"traceparent": f"00-{trace}-{'cd' * 8}-01"}
        await worker.call("mail::send", {"to": "a"}, action=MAIL, **context)
        await worker.fail(await worker.invoked("mail::send"), "boom", "it broke")
        first = await until(lambda: spans().get("fn_queue mail"))
        second = await worker.invoked("mail::send")
        await worker.answer(second)
        await until(lambda: spans()["fn_queue mail"] != first)
    handled = spans()["handle_invocation mail::send"]
    enqueued = spans()["enqueue mail::send → mail"]
    job, called = spans()["fn_queue mail"], spans()["call mail::send"]
    assert (enqueued.kind, enqueued.parent_span_id) == ("producer", handled.span_id)
    assert dict(enqueued.attributes) == {"function_id": "mail::send", "queue": "mail"}
    assert (job.kind, job.parent_span_id, called.parent_span_id) == (
        "consumer",
        enqueued.span_id,
        job.span_id,
    )
    assert second["traceparent"][36:52] == called.span_id
    assert (first.status, first.status_description, job.status) == ("error", "boom", "ok")
    found = dict(job.attributes)
    assert found.pop("delivery_id") != first.attribute("delivery_id")
    assert found == {
        "queue": "mail",
        "messaging.system": "iii-queue",
        "messaging.destination.name": "mail",
        "messaging.operation.type": "process",
        "function_id": "mail::send",
        "attempt": 1,
    }
    assert first.attribute("attempt") == 0


async def test_the_span_of_a_job_of_a_topic(engine: RunningEngine) -> None:
    async with RawWorker(engine.url) as worker:
        await worker.register("seen")
        await worker.register_trigger("durable:subscriber", "seen", {"topic": "news"})
        await worker.call("iii::durable::publish", {"topic": "news", "data": 1})
        await worker.answer(await worker.invoked("seen"))
        spans = engine.core.spans
        job = await until(lambda: next((s for s in spans if s.name == "queue news::seen"), None))
    assert (job.kind, job.attribute("queue")) == ("consumer", "news::seen")
    assert job.attribute("messaging.destination.name") == "news"
    assert job.attribute("job_id")
