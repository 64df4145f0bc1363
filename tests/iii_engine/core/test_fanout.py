"""Delivery of events: order, concurrency, bounds, conditions (engine-modules 2.2 and 2.3)."""

from __future__ import annotations

import logging

import pytest
from msgspec import Raw

from iii_engine.core import fanout as module
from iii_engine.core.clock import SeededIds, VirtualClock
from iii_engine.core.engine import Engine
from iii_engine.core.fanout import Event, Fanout
from iii_engine.core.router import Call
from iii_engine.core.triggers import Trigger
from iii_sdk.protocol import NULL


class Desk:
    """A fan-out with a trigger `t`; handlers answer when they are told to."""

    def __init__(self) -> None:
        self.engine = Engine(VirtualClock(), SeededIds(1))
        self.fanout = Fanout(self.engine)
        self.calls: list[tuple[Call, str]] = []
        self.trigger = self.bind("t", "f")
        self.engine.add_function("f", self.hold, module="test")

    def bind(self, trigger_id: str, function_id: str, condition: str | None = None) -> Trigger:
        trigger = Trigger(trigger_id, "test", function_id, NULL, Raw(b'"m"'), None)
        self.fanout.add(trigger, condition)
        return trigger

    def hold(self, call: Call) -> None:
        self.calls.append((call, bytes(call.data).decode()))

    def answering(self, function_id: str, answer: bytes | None) -> None:
        """A function that answers at once; None: with an error."""

        def handle(call: Call) -> None:
            self.calls.append((call, f"{function_id} {bytes(call.data).decode()}"))
            if answer is None:
                call.fail("broken", "it is broken")
            else:
                call.reply(answer)

        self.engine.add_function(function_id, handle, module="test")

    def deliver(self, *events: str, trigger: Trigger | None = None) -> None:
        """Events written `key:payload`."""
        for event in events:
            self.fanout.deliver(trigger or self.trigger, Event(event.split(":")[0], event.encode()))

    @property
    def heard(self) -> list[str]:
        return [payload for _, payload in self.calls]

    def finish(self, payload: str) -> None:
        next(call for call, text in self.calls if text == payload).reply(b"null")


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.mark.promise(
    "Events",
    "Events of one record reach a trigger in the order of the writes, one at a time.",
)
def test_one_key_is_delivered_in_order_one_at_a_time(desk: Desk) -> None:
    desk.deliver("a:1", "a:2", "a:3")
    assert desk.heard == ["a:1"]
    desk.finish("a:1")
    assert desk.heard == ["a:1", "a:2"]
    desk.finish("a:2")
    desk.finish("a:3")
    desk.deliver("a:4")
    assert desk.heard == ["a:1", "a:2", "a:3", "a:4"]


def test_other_keys_and_triggers_do_not_wait(desk: Desk) -> None:
    other = desk.bind("u", "f")
    desk.deliver("a:1", "a:2", "b:1")
    desk.deliver("a:5", trigger=other)
    assert desk.heard == ["a:1", "b:1", "a:5"]
    assert desk.fanout.waiting(desk.trigger) == 1
    assert desk.fanout.waiting(other) == 0


def test_a_failing_handler_is_logged_and_the_next_event_comes(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    desk.answering("broken", None)
    trigger = desk.bind("b", "broken")
    with caplog.at_level(logging.WARNING, "iii.triggers"):
        desk.deliver("a:1", "a:2", trigger=trigger)
    assert desk.heard == ["broken a:1", "broken a:2"]
    assert "trigger b: broken failed: broken: it is broken" in caplog.text


def test_a_missing_handler_is_a_failing_one(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    trigger = desk.bind("b", "nowhere")
    with caplog.at_level(logging.WARNING, "iii.triggers"):
        desk.deliver("a:1", trigger=trigger)
    assert "nowhere failed: function_not_found" in caplog.text


def test_events_carry_context_and_metadata(desk: Desk) -> None:
    trace = f"00-{'ab' * 16}-{'cd' * 8}-01"
    desk.fanout.deliver(desk.trigger, Event("a", b"1", trace, "k=v"))
    ((call, _),) = desk.calls
    assert call.traceparent.split("-")[1] == "ab" * 16
    assert call.baggage == "k=v"
    assert bytes(call.metadata) == b'"m"'


@pytest.mark.parametrize("answer", [b"0", b"null", b'""', b"{}", b"true", b'"false"'])
def test_wire_case_63_anything_but_false_lets_an_event_pass(desk: Desk, answer: bytes) -> None:
    desk.answering("asked", answer)
    desk.deliver("a:1", trigger=desk.bind("c", "f", "asked"))
    assert desk.heard == ["asked a:1", "a:1"]


def test_wire_case_63_false_holds_an_event_back(desk: Desk) -> None:
    desk.answering("asked", b" false\n")
    trigger = desk.bind("c", "f", "asked")
    desk.deliver("a:1", "a:2", trigger=trigger)
    assert desk.heard == ["asked a:1", "asked a:2"]
    assert desk.fanout.waiting(trigger) == 0


def test_wire_case_63_a_failing_condition_holds_an_event_back(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    desk.answering("asked", None)
    trigger = desk.bind("c", "f", "asked")
    with caplog.at_level(logging.WARNING, "iii.triggers"):
        desk.deliver("a:1", "a:2", trigger=trigger)
    assert desk.heard == ["asked a:1", "asked a:2"]
    assert "asked failed" in caplog.text


def test_conditions_keep_the_order(desk: Desk) -> None:
    desk.engine.add_function("asked", desk.hold, module="test")
    desk.deliver("a:1", "a:2", trigger=desk.bind("c", "f", "asked"))
    assert desk.heard == ["a:1"]
    desk.calls[0][0].reply(b"true")
    assert desk.heard == ["a:1", "a:1"]
    desk.calls[1][0].reply(b"null")
    assert desk.heard == ["a:1", "a:1", "a:2"]


def test_too_many_waiting_events_drop_the_oldest(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "MAX_WAITING", 2)
    with caplog.at_level(logging.WARNING, "iii.triggers"):
        desk.deliver("a:1", "a:2", "a:3", "a:4", "a:5", "a:6")
    assert desk.fanout.dropped == 3
    assert desk.engine.router.counters.dropped_events == 3
    assert desk.fanout.waiting(desk.trigger) == 2
    assert caplog.text.count("oldest event dropped") == 2  # the first and the second
    for payload in ("a:1", "a:5", "a:6"):
        desk.finish(payload)
    assert desk.heard == ["a:1", "a:5", "a:6"]


def test_too_many_running_keys_wait_for_a_place(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_RUNNING", 2)
    desk.deliver("a:1", "b:1", "c:1", "c:2", "a:2", "d:1")
    assert desk.heard == ["a:1", "b:1"]
    desk.finish("b:1")
    assert desk.heard[2:] == ["c:1"]
    desk.finish("a:1")
    assert desk.heard[3:] == ["d:1"]
    desk.finish("c:1")
    desk.finish("d:1")
    assert sorted(desk.heard[4:]) == ["a:2", "c:2"]


def test_an_event_that_waits_for_a_place_can_be_dropped(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_RUNNING", 1)
    monkeypatch.setattr(module, "MAX_WAITING", 2)
    desk.deliver("a:1", "b:1", "b:2", "c:1")  # drops b:1
    desk.deliver("d:1")  # drops b:2, and with it the key b
    for payload in ("a:1", "c:1", "d:1"):
        desk.finish(payload)
    desk.deliver("b:3")
    assert desk.heard == ["a:1", "c:1", "d:1", "b:3"]
    assert desk.fanout.dropped == 2


def test_a_removed_trigger_gets_nothing_more(desk: Desk) -> None:
    desk.deliver("a:1", "a:2")
    desk.fanout.remove(desk.trigger)
    desk.finish("a:1")
    assert desk.heard == ["a:1"]
    assert desk.fanout.waiting(desk.trigger) == 0
    desk.fanout.remove(desk.trigger)


def test_a_long_queue_of_quick_handlers_needs_no_deep_stack(desk: Desk) -> None:
    desk.answering("quick", b"null")
    desk.engine.add_function("f", desk.hold, module="test")
    trigger = desk.bind("q", "f")
    desk.deliver(*(f"a:{number}" for number in range(1000)), trigger=trigger)
    trigger.function_id = "quick"
    desk.finish("a:0")
    assert len(desk.calls) == 1000
    assert desk.fanout.waiting(trigger) == 0


def test_what_fails_all_the_time_is_not_told_all_the_time(
    caplog: pytest.LogCaptureFixture,
) -> None:
    desk = Desk()
    desk.answering("broken", None)
    trigger = desk.bind("b", "broken")
    for number in range(100):
        desk.deliver(f"k:{number}", trigger=trigger)
    assert caplog.text.count("broken failed: broken") == 3
    clock = desk.engine.clock
    assert isinstance(clock, VirtualClock)
    clock.advance(10)
    desk.engine.advance()
    assert "trigger b: broken failed 97 times more: broken" in caplog.text
    desk.deliver("k:again", trigger=trigger)
    assert caplog.text.count("broken failed: broken") == 4


def test_a_trigger_that_is_gone_gets_nothing() -> None:
    desk = Desk()
    desk.fanout.remove(desk.trigger)
    desk.deliver("k:1")
    assert desk.calls == []
