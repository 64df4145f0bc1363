"""`publish` and `subscribe`: conformance cases 103 and 104."""

from __future__ import annotations

import json

import pytest
from tests.support.desk import Desk, running
from tests.support.engine import RunningEngine
from tests.support.raw_worker import RawWorker

from iii_engine.core.fanout import MAX_RUNNING, MAX_WAITING
from iii_engine.core.router import Call
from iii_engine.modules.adapters import BadAdapter
from iii_engine.modules.pubsub import PubSubModule
from iii_sdk.errors import BusError


def publish(desk: Desk, topic: str, data: object = None, **context: str) -> object:
    return desk.ask("publish", {"topic": topic, "data": data}, **context)


def test_modules_case_103_each_subscriber_gets_the_data_once(desk: Desk) -> None:
    desk.handler("one")
    desk.handler("two")
    desk.bind("t1", "one", {"topic": "news"})
    desk.bind("t2", "two", {"topic": "news"}, type="pubsub")
    assert publish(desk, "news", {"n": [1, None]}) is None
    assert publish(desk, "other", 2) is None
    assert desk.payloads("one") == desk.payloads("two") == [{"n": [1, None]}]


def test_modules_case_103_without_a_subscriber_the_answer_is_null(desk: Desk) -> None:
    assert publish(desk, "nobody") is None


def test_modules_case_104_who_leaves_takes_nobody_along(desk: Desk) -> None:
    desk.handler("one")
    desk.handler("two")
    desk.bind("t1", "one", {"topic": "news"})
    desk.bind("t2", "two", {"topic": "news"})
    desk.engine.triggers.remove("t1")
    publish(desk, "news", 1)
    assert desk.payloads("one") == []
    assert desk.payloads("two") == [1]
    desk.engine.triggers.remove("t2")
    assert publish(desk, "news", 2) is None


def test_a_subscriber_may_remove_those_behind_it(desk: Desk) -> None:
    desk.handler("two")
    desk.handler("three")

    def remove(call: Call) -> None:
        desk.engine.triggers.remove("t2")
        call.reply()

    desk.engine.add_function("one", remove, module="test")
    for number, name in enumerate(("one", "two", "three"), 1):
        desk.bind(f"t{number}", name, {"topic": "news"})
    assert publish(desk, "news", 1) is None
    assert desk.payloads("two") == []
    assert desk.payloads("three") == [1]


@pytest.mark.parametrize(
    ("pattern", "wanted"),
    [
        ("agent.*", ["agent.", "agent.started", "agent.a.b"]),
        ("agent*", ["agent", "agent.", "agent.started", "agent.a.b", "agents"]),
        ("*", ["agent", "agent.", "agent.started", "agent.a.b", "agents", "x"]),
        ("agent", ["agent"]),
    ],
)
def test_a_star_at_the_end_stands_for_the_rest(desk: Desk, pattern: str, wanted: list[str]) -> None:
    desk.handler("seen")
    desk.bind("t", "seen", {"topic": pattern})
    for topic in ("agent", "agent.", "agent.started", "agent.a.b", "agents", "x"):
        publish(desk, topic, topic)
    assert desk.payloads("seen") == wanted
    desk.engine.triggers.remove("t")
    publish(desk, "agent", 1)
    assert desk.payloads("seen") == wanted


def test_a_slow_subscriber_holds_up_neither_others_nor_its_own_next_message(desk: Desk) -> None:
    slow = desk.handler("slow", answer=None)
    desk.handler("fast")
    desk.bind("t1", "slow", {"topic": "x"})
    desk.bind("t2", "fast", {"topic": "x"})
    publish(desk, "x", 1)
    publish(desk, "x", 2)
    assert [json.loads(call.data) for call in slow] == [1, 2]
    assert desk.payloads("fast") == [1, 2]


def test_what_a_stalled_subscriber_is_owed_is_bounded(desk: Desk) -> None:
    stalled = desk.handler("stalled", answer=None)
    desk.bind("t", "stalled", {"topic": "x"})
    for n in range(MAX_RUNNING + MAX_WAITING + 5):
        publish(desk, "x", n)
    assert len(stalled) == MAX_RUNNING
    assert desk.engine.router.counters.dropped_events == 5
    for call in stalled[:]:
        call.reply(b"null")
    assert [json.loads(call.data) for call in stalled[MAX_RUNNING:]] == list(
        range(MAX_RUNNING + 5, MAX_RUNNING + MAX_WAITING + 5)
    )


def test_the_trace_and_baggage_of_the_publisher_go_along(desk: Desk) -> None:
    calls = desk.handler("seen")
    desk.bind("t", "seen", {"topic": "x"})
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    publish(desk, "x", traceparent=f"00-{trace}-00f067aa0ba902b7-01", baggage="tenant=a")
    assert calls[0].traceparent.split("-")[1] == trace
    assert calls[0].baggage == "tenant=a"


@pytest.mark.parametrize(("answer", "runs"), [(b"false", 0), (b"null", 1), (b"0", 1)])
def test_a_condition_decides(desk: Desk, answer: bytes, runs: int) -> None:
    desk.handler("seen")
    desk.handler("may", answer=answer)
    desk.bind("t", "seen", {"topic": "x", "condition_function_id": "may"})
    publish(desk, "x", {"n": 1})
    assert desk.payloads("may") == [{"n": 1}]
    assert len(desk.payloads("seen")) == runs


@pytest.mark.parametrize(
    ("data", "code"),
    [
        ({"topic": "", "data": 1}, "topic_not_set"),
        ({"data": 1}, "deserialization_error"),
        ({"topic": 1}, "deserialization_error"),
        (None, "deserialization_error"),
    ],
)
def test_a_message_needs_a_topic(desk: Desk, data: object, code: str) -> None:
    with pytest.raises(BusError) as refused:
        desk.ask("publish", data)
    assert refused.value.code == code


@pytest.mark.parametrize("config", [None, {}, {"topic": 1}, {"topic": ""}])
def test_a_subscription_needs_a_topic(desk: Desk, config: object) -> None:
    refused = desk.bind("t", "seen", config)
    assert refused is not None
    assert "topic" in refused.message
    assert desk.engine.triggers.get("t") is None


async def test_an_unknown_adapter_is_refused() -> None:
    with pytest.raises(BadAdapter, match=r"Adapter factory 'smoke' not found. Available: \[\"loc"):
        async with running(PubSubModule, {"adapter": {"name": "smoke"}}):
            pass


async def test_the_legacy_name_of_the_adapter() -> None:
    async with running(PubSubModule, {"adapter": {"class": "modules::pubsub::LocalAdapter"}}):
        pass
    with pytest.raises(BadAdapter, match=r"config.adapter.config: .*`redis_url`"):
        async with running(PubSubModule, {"adapter": {"config": {"redis_url": "x"}}}):
            pass


async def test_a_message_crosses_the_wire(engine: RunningEngine) -> None:
    async with RawWorker(engine.url) as hearing, RawWorker(engine.url) as speaking:
        await hearing.register("audit")
        await hearing.register_trigger("subscribe", "audit", {"topic": "audit"})
        assert await speaking.call("publish", {"topic": "audit", "data": {"who": "me"}}) is None
        heard = await hearing.invoked("audit")
        assert heard["data"] == {"who": "me"}
