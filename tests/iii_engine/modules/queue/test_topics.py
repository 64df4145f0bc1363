"""Durable topics: conformance cases 22, 86 to 88, 95, 99 and 102."""

from __future__ import annotations

import pytest
from tests.support.queue_desk import QueueDesk

from iii_sdk.errors import BusError


@pytest.mark.parametrize("function_id", ["iii::durable::publish", "enqueue", "iii::queue::publish"])
async def test_modules_case_86_a_subscriber_gets_what_is_published(
    desk: QueueDesk, function_id: str
) -> None:
    desk.handler("seen")
    desk.trigger("t", "orders", "seen")
    assert desk.ask(function_id, {"topic": "orders", "data": {"a": 1}}) is None
    await desk.settle()
    assert desk.payloads("seen") == [{"a": 1}]
    assert desk.stats("orders") == {"waiting": 0, "active": 0, "delayed": 0, "dlq_depth": 0}
    with pytest.raises(BusError) as refused:
        desk.ask(function_id, {"topic": "", "data": 1})
    assert refused.value.code == "topic_not_set"


async def test_a_message_does_not_say_who_called(desk: QueueDesk) -> None:
    desk.handler("seen")
    desk.trigger("t", "orders", "seen")
    desk.publish("orders", {"n": 1, "_caller_worker_id": "made up"})
    await desk.settle()
    assert desk.payloads("seen") == [{"n": 1}]


async def test_modules_case_86_null_is_data_too(desk: QueueDesk) -> None:
    desk.handler("seen")
    desk.trigger("t", "orders", "seen")
    desk.ask("enqueue", {"topic": "orders"})
    await desk.settle()
    assert desk.payloads("seen") == [None]


async def test_modules_case_87_each_function_gets_a_copy(desk: QueueDesk) -> None:
    desk.handler("one")
    desk.handler("two")
    desk.trigger("t1", "orders", "one")
    desk.trigger("t2", "orders", "two")
    desk.publish("orders", 1)
    await desk.settle()
    assert desk.payloads("one") == desk.payloads("two") == [1]


async def test_modules_case_87_two_triggers_of_a_function_are_one_delivery(
    desk: QueueDesk,
) -> None:
    desk.handler("one")
    desk.trigger("t1", "orders", "one")
    desk.trigger("t2", "orders", "one")
    desk.publish("orders", 1)
    await desk.settle()
    assert desk.payloads("one") == [1]
    desk.engine.triggers.remove("t2")
    desk.publish("orders", 2)
    await desk.settle()
    assert desk.payloads("one") == [1, 2]


async def test_wire_case_62_queue_is_another_name_of_the_type(desk: QueueDesk) -> None:
    desk.handler("one")
    desk.handler("two")
    assert desk.bind("t1", "one", {"topic": "orders"}, type="queue") is None
    assert desk.bind("t2", "two", {"topic": "orders"}, type="durable:subscriber") is None
    desk.publish("orders", 1)
    await desk.settle()
    assert desk.payloads("one") == desk.payloads("two") == [1]
    assert [t.type for t in desk.engine.triggers] == ["queue", "durable:subscriber"]


async def test_modules_case_88_a_condition_of_false_holds_the_handler_back(
    desk: QueueDesk,
) -> None:
    desk.handler("seen")
    asked = desk.handler("never", answer=b"false")
    desk.trigger("t", "orders", "seen", condition_function_id="never")
    desk.publish("orders", 1)
    await desk.settle()
    assert len(asked) == 1
    assert desk.payloads("seen") == []
    assert desk.stats("orders") == {"waiting": 0, "active": 0, "delayed": 0, "dlq_depth": 0}


@pytest.mark.parametrize("answer", [b"null", b"0", b'""', b"{}", b"true"])
async def test_any_other_answer_of_a_condition_lets_it_run(desk: QueueDesk, answer: bytes) -> None:
    desk.handler("seen")
    desk.handler("maybe", answer=answer)
    desk.trigger("t", "orders", "seen", condition_function_id="maybe")
    desk.publish("orders", 1)
    await desk.settle()
    assert desk.payloads("seen") == [1]


async def test_modules_case_22_a_condition_that_is_missing_is_a_failure(desk: QueueDesk) -> None:
    desk.handler("seen")
    desk.trigger("t", "orders", "seen", condition_function_id="later")
    desk.publish("orders", 1)
    await desk.settle()
    assert desk.stats("orders")["delayed"] == 1
    desk.handler("later", answer=b"true")
    await desk.advance(1)
    assert desk.payloads("seen") == [1]


async def test_modules_case_95_the_first_subscriber_gets_the_backlog(desk: QueueDesk) -> None:
    for number in range(3):
        desk.publish("orders", number)
    desk.handler("first")
    desk.handler("second")
    desk.trigger("t1", "orders", "first")
    desk.trigger("t2", "orders", "second")
    await desk.settle()
    assert desk.payloads("first") == [0, 1, 2]
    assert desk.payloads("second") == []


async def test_modules_case_99_names_must_be_given(desk: QueueDesk) -> None:
    for function_id, payload, code in (
        ("iii::queue::redrive", {"queue": ""}, "queue_not_set"),
        ("iii::queue::redrive_message", {"queue": ""}, "queue_not_set"),
        ("iii::queue::redrive_message", {"queue": "q"}, "message_id_not_set"),
        ("iii::queue::discard_message", {"message_id": "m"}, "queue_not_set"),
        ("iii::queue::discard_message", {"queue": "q", "message_id": ""}, "message_id_not_set"),
        ("engine::queue::topic_stats", {}, "topic_required"),
        ("engine::queue::dlq_messages", {"topic": ""}, "topic_required"),
    ):
        with pytest.raises(BusError) as refused:
            desk.ask(function_id, payload)
        assert refused.value.code == code


async def test_modules_case_102_each_subscription_has_its_own_retries(desk: QueueDesk) -> None:
    once = desk.failing("once", *["no"] * 9)
    thrice = desk.failing("thrice", *["no"] * 9)
    desk.trigger("t1", "orders", "once", queue_config={"maxRetries": 1})
    desk.trigger("t2", "orders", "thrice")
    desk.publish("orders", 1)
    await desk.advance(10)
    assert once == [0]
    assert thrice == [0, 1, 3]
    assert [entry["retries"] for entry in desk.dead("orders")] == [3, 1]


@pytest.mark.parametrize(
    ("queue_config", "times"),
    [
        ({"backoffType": "fixed", "backoffDelayMs": 200}, [0, 0.2, 0.4]),
        ({"backoffType": "linear", "backoffDelayMs": 200}, [0, 0.2, 0.6]),
        ({"backoff_type": "exponential", "backoff_delay_ms": 200}, [0, 0.2, 0.6]),
        ({"backoffDelayMs": 0}, [0, 0, 0]),
        ({"delaySeconds": 2, "maxRetries": 1}, [2]),
        ("no object", [0, 1, 3]),
    ],
)
async def test_queue_config_takes_effect(
    desk: QueueDesk, queue_config: object, times: list[float]
) -> None:
    called = desk.failing("seen", *["no"] * 9)
    desk.trigger("t", "orders", "seen", queue_config=queue_config)
    desk.publish("orders", 1)
    await desk.advance(10)
    assert called == times


async def test_a_wrong_queue_config_is_refused_with_its_path(desk: QueueDesk) -> None:
    problem = desk.bind("t", "seen", {"topic": "x", "queue_config": {"maxRetries": -1}})
    assert problem is not None
    assert "$.maxRetries" in problem.message
    problem = desk.bind("t", "seen", {"topic": ""})
    assert problem is not None
    assert problem.code == "topic_not_set"


async def test_names_with_colons_round_trip(desk: QueueDesk) -> None:
    desk.handler("a::b::c")
    desk.trigger("t", "x::y:z", "a::b::c")
    desk.publish("x::y:z", 1)
    await desk.settle()
    assert desk.payloads("a::b::c") == [1]
    (row,) = [r for r in desk.ask("engine::queue::list_topics") if r["name"] != "default"]
    assert row == {"name": "x::y:z", "broker_type": "builtin", "subscriber_count": 1}
