"""Conversations with the bus, one message at a time. Numbers are cases of the wire protocol §18."""

from __future__ import annotations

import pytest
from tests.support.bus import Bus

from iii_engine.core.router import Call
from iii_sdk.protocol import is_uuid


def test_wire_case_1_first_message_names_the_worker() -> None:
    bus = Bus()
    first, second = bus.peer(), bus.peer()
    assert is_uuid(first.id)
    assert is_uuid(second.id)
    assert first.id != second.id


@pytest.mark.parametrize(
    "frame", [b"", b"  ", b"not json", b"[]", b"1", b'{"type":"bogus"}', b"{}"]
)
def test_wire_case_4_malformed_frames_are_dropped_and_the_next_works(frame: bytes) -> None:
    bus = Bus()
    worker = bus.peer("a::b")
    worker.send(frame)
    worker.send(frame)
    assert worker.inbox() == []
    worker.ask("a::b")
    assert worker.only()["type"] == "invokefunction"


def test_malformed_call_with_an_id_is_answered() -> None:
    bus = Bus()
    worker = bus.peer()
    worker.tell("invokefunction", invocation_id="x", function_id=7)
    answer = worker.only()
    assert answer["invocation_id"] == "x"
    assert answer["error"]["code"] == "invalid_message"
    assert "function_id" in answer["error"]["message"]


def test_unknown_action_is_refused() -> None:
    worker = Bus().peer("a::b")
    worker.ask("a::b", action={"type": "later"})
    assert worker.only()["error"]["code"] == "invalid_message"


def test_wire_case_6_application_ping() -> None:
    worker = Bus().peer()
    worker.tell("ping")
    assert worker.only() == {"type": "pong"}
    worker.tell("pong")
    assert worker.inbox() == []


def test_wire_case_8_key_order_and_unknown_keys_do_not_matter() -> None:
    bus = Bus()
    worker = bus.peer()
    worker.send(b'{"zz":1,"id":"a::b","type":"registerfunction"}')
    worker.send(b'{"function_id":"a::b","zz":[1],"invocation_id":"i","type":"invokefunction"}')
    assert worker.only()["function_id"] == "a::b"


def test_wire_case_51_reattach_retires_the_old_connection() -> None:
    bus = Bus()
    old, new, wrong = bus.peer("a::b"), bus.peer(), bus.peer()
    wrong.tell("reattach", previous_worker_id=old.id, reattach_token="wrong")
    wrong.tell("reattach", previous_worker_id="nobody", reattach_token=old.token)
    wrong.tell("reattach", previous_worker_id=wrong.id, reattach_token=wrong.token)
    assert "a::b" in bus.engine.registry
    new.tell("reattach", previous_worker_id=old.id, reattach_token=old.token)
    assert "a::b" not in bus.engine.registry
    assert old.closed_with == 1008
    old.offer("late::one")
    assert "late::one" not in bus.engine.registry
    new.offer("a::b")
    old.close()
    assert bus.engine.registry.get("a::b") is not None


def test_worker_events() -> None:
    bus = Bus()
    events = []
    bus.engine.on_worker_event = lambda event, worker: events.append((event, worker))
    worker = bus.peer()
    worker.close()
    worker.close()
    assert events == [("worker_connected", worker.id), ("worker_disconnected", worker.id)]


def test_a_frame_to_a_gone_worker_is_dropped() -> None:
    bus = Bus()
    worker = bus.peer("a::b")
    worker.close()
    worker.session.send(b"late")
    assert worker.receive() == []


def test_http_invoked_functions_need_their_module() -> None:
    bus = Bus()
    worker = bus.peer()
    worker.tell("registerfunction", id="a::b", invocation={"url": "http://x"})
    assert "a::b" not in bus.engine.registry


def test_services_are_labels_over_functions() -> None:
    bus = Bus()
    worker = bus.peer("payments::pay", "plain")
    worker.tell("registerservice", id="payments", name="Payments", description="money")
    worker.tell("registerservice", id="empty")
    (payments, empty) = bus.engine.services
    assert (payments.id, payments.name, payments.functions) == (
        "payments",
        "Payments",
        {"payments::pay"},
    )
    assert empty.name == "empty"
    worker.close()
    assert list(bus.engine.services) == []


def test_a_service_belongs_to_the_newer_connection_of_a_program() -> None:
    bus = Bus()
    old, new = bus.peer(), bus.peer()
    for peer in (old, new):
        peer.describe(name="host:7", pid=7)
    new.tell("registerservice", id="payments", name="new")
    old.tell("registerservice", id="payments", name="old")
    old.close()
    assert [service.name for service in bus.engine.services] == ["new"]


@pytest.mark.parametrize("action", [None, {"type": "void"}, {"type": "enqueue", "queue": "q"}])
@pytest.mark.parametrize("namespace", ["", " \t"])
def test_a_call_in_a_blank_namespace_is_refused(
    namespace: str, action: dict[str, str] | None
) -> None:
    bus = Bus()
    worker, caller = bus.peer("a::b"), bus.peer()
    call = {"invocation_id": "x", "function_id": "a::b", "namespace": namespace}
    caller.tell("invokefunction", **call, action=action)
    assert worker.inbox() == []
    waits = action is None or action["type"] != "void"
    assert [m["error"]["code"] for m in caller.inbox()] == ["INVALID_NAMESPACE"] * waits


def test_any_other_namespace_is_the_one_there_is(caplog: pytest.LogCaptureFixture) -> None:
    bus = Bus()
    worker, caller = bus.peer("a::b"), bus.peer()
    for namespace in (None, "default", "other", "another"):
        caller.tell("invokefunction", function_id="a::b", namespace=namespace)
    assert len(worker.inbox()) == 4
    assert caplog.text.count("calls in namespace") == 1  # once per worker
    assert "'other'" in caplog.text


def test_a_function_of_a_module_that_raises_is_an_error_to_its_caller_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bus = Bus()
    caller = bus.peer()

    def broken(call: Call) -> None:
        raise RuntimeError("a defect")

    bus.engine.add_function("m::broken", broken, module="m")
    caller.ask("m::broken")
    answer = caller.only()
    assert answer["error"]["code"] == "invocation_failed"
    assert "a defect" not in answer["error"]["message"]
    assert "a defect" in caplog.text
    assert not bus.engine.router.pending
