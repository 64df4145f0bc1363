"""Frames that are no messages, and who is told."""

from __future__ import annotations

import json

import pytest
from tests.support.bus import Bus

from iii_engine.core.numerals import MAX_DIGITS
from iii_sdk.protocol import MAX_ID

LONG = "9" * (MAX_DIGITS + 1)


@pytest.mark.parametrize(
    "data",
    ['{"a":1 "b":2}', "[1,]", "01", '"a\nb"', "nul", LONG, f'[{{"a":-{LONG}}}]'],
)
def test_a_call_that_cannot_be_read_is_answered_and_goes_nowhere(data: str) -> None:
    bus = Bus()
    worker, caller = bus.peer("a::b"), bus.peer()
    call = f'{{"type":"invokefunction","invocation_id":"i","function_id":"a::b","data":{data}}}'
    caller.send(call.encode())
    answer = caller.only()
    assert answer["invocation_id"] == "i"
    assert answer["error"]["code"] == "invalid_message"
    assert worker.inbox() == []
    caller.ask("a::b", data=1)
    assert worker.only()["data"] == 1


@pytest.mark.parametrize("result", [LONG, "[1,]"])
def test_an_answer_that_cannot_be_read_ends_its_call(result: str) -> None:
    bus = Bus()
    worker, caller, other = bus.peer("a::b"), bus.peer(), bus.peer()
    caller.ask("a::b", call="i")
    call = worker.only()["invocation_id"]
    answer = f'{{"type":"invocationresult","invocation_id":"{call}","result":{result}}}'.encode()
    other.send(answer)
    assert caller.inbox() == []
    worker.send(answer)
    error = caller.only()["error"]
    assert error["code"] == "invalid_message"
    assert "the answer is not a message" in error["message"]
    assert not bus.engine.router.pending


def test_a_trigger_that_cannot_be_read_is_answered() -> None:
    worker = Bus().peer()
    worker.send(
        b'{"type":"registertrigger","id":"t","trigger_type":"x","function_id":"f","config":%b}'
        % LONG.encode()
    )
    told = worker.only()
    assert (told["type"], told["id"]) == ("triggerregistrationresult", "t")
    assert str(MAX_DIGITS) in told["error"]["message"]


@pytest.mark.parametrize("field", ["function_id", "invocation_id"])
def test_a_call_with_a_long_id_is_refused(field: str) -> None:
    bus = Bus()
    caller = bus.peer()
    right = {"invocation_id": "i", "function_id": "a::b"}
    caller.tell("invokefunction", **{**right, field: "x" * MAX_ID})
    assert caller.only()["error"]["code"] == "function_not_found"
    caller.tell("invokefunction", **{**right, field: "x" * (MAX_ID + 1)})
    error = caller.only()["error"]
    assert error["code"] == "invalid_message"
    assert f"$.{field}" in error["message"]
    assert len(bus.engine.spans) == 1


@pytest.mark.parametrize(
    ("kind", "field"),
    [
        ("registerfunction", "id"),
        ("registertriggertype", "id"),
        ("registertrigger", "id"),
        ("registertrigger", "trigger_type"),
        ("registertrigger", "function_id"),
        ("registerservice", "id"),
        ("registerservice", "name"),
        ("registerservice", "parent_service_id"),
    ],
)
def test_a_registration_with_a_long_id_is_refused(kind: str, field: str) -> None:
    bus = Bus()
    worker = bus.peer()
    fields = {"id": "t", "trigger_type": "x", "function_id": "f"}
    worker.tell(kind, **{**fields, field: "x" * (MAX_ID + 1)})
    assert worker.session.ledger is None
    assert not list(bus.engine.triggers)
    answers = worker.inbox()
    if kind == "registertrigger":
        (told,) = answers
        assert told["id"] == fields["id"] if field != "id" else "x" * MAX_ID
        assert f"$.{field}" in told["error"]["message"]
    else:
        assert answers == []


def test_long_baggage_and_codes_do_not_stay_in_the_ring() -> None:
    bus = Bus()
    worker, caller = bus.peer("a::b"), bus.peer()
    caller.ask("a::b", baggage="b" * 8000)
    worker.answer(worker.only(), error={"code": "c" * 100_000, "message": "m"})
    answer = caller.only()
    assert answer["baggage"] == "b" * 8000
    assert answer["error"]["code"] == "c" * 100_000
    caller.ask("no::body", baggage="b" * 8000)
    assert caller.only()["baggage"] == "b" * 8000
    for record in bus.engine.spans.records():
        assert getattr(record, "baggage", None) is None
    assert all(len(json.dumps(str(span))) < 2000 for span in bus.engine.spans)
