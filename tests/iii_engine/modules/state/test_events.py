"""The trigger type `state`: conformance cases 73 and 74."""

from __future__ import annotations

import json
import logging

import pytest
from msgspec import Raw
from tests.support.desk import Desk

from iii_engine.core.router import Call
from iii_engine.core.triggers import Trigger
from iii_sdk.protocol import NULL


def put(desk: Desk, scope: str, key: str, value: object) -> None:
    desk.ask("state::set", {"scope": scope, "key": key, "value": value})


def event(kind: str, old: object, new: object, scope: str = "users") -> dict[str, object]:
    return {
        "type": "state",
        "event_type": f"state:{kind}",
        "scope": scope,
        "key": "u1",
        "old_value": old,
        "new_value": new,
    }


def test_modules_case_73_a_scope_tells_of_its_changes(desk: Desk) -> None:
    desk.handler("seen")
    desk.bind("t", "seen", {"scope": "users"})
    put(desk, "users", "u1", {"n": 1})
    put(desk, "users", "u1", {"n": 1})
    put(desk, "other", "u1", 1)
    desk.ask("state::delete", {"scope": "users", "key": "u1"})
    assert desk.payloads("seen") == [
        event("created", None, {"n": 1}),
        event("updated", {"n": 1}, {"n": 1}),
        event("deleted", {"n": 1}, None),
    ]


def test_modules_case_74_a_key_hears_of_itself_only(desk: Desk) -> None:
    desk.handler("of_key")
    desk.handler("of_any_scope")
    desk.bind("t1", "of_key", {"scope": "users", "key": "u1"})
    desk.bind("t2", "of_any_scope", {"key": "u1"})
    put(desk, "users", "u1", 1)
    put(desk, "users", "u2", 1)
    put(desk, "other", "u1", 1)
    assert desk.payloads("of_key") == [event("created", None, 1)]
    assert len(desk.payloads("of_any_scope")) == 2


def test_modules_case_74_a_slow_handler_delays_nobody(desk: Desk) -> None:
    slow = desk.handler("slow", answer=None)
    desk.handler("fast")
    desk.bind("t1", "slow")
    desk.bind("t2", "fast")
    put(desk, "users", "u1", 1)
    put(desk, "users", "u1", 2)
    assert len(slow) == 1
    assert len(desk.payloads("fast")) == 2
    slow[0].reply(b"null")
    assert [payload["new_value"] for payload in desk.payloads("slow")] == [1, 2]


def test_update_events(desk: Desk) -> None:
    desk.handler("seen")
    desk.bind("t", "seen")
    ops = [{"type": "increment", "path": "n", "by": 1}]
    for _ in range(2):
        desk.ask("state::update", {"scope": "users", "key": "u1", "ops": ops})
    assert desk.payloads("seen") == [
        event("created", None, {"n": 1}),
        event("updated", {"n": 1}, {"n": 2}),
    ]


@pytest.mark.parametrize("name", ["condition_function_id", "_condition_path"])
def test_conditions_hold_events_back(desk: Desk, name: str) -> None:
    desk.handler("seen")
    desk.handler("asked", answer=b" false ")
    desk.bind("t", "seen", {name: "asked"})
    put(desk, "users", "u1", 1)
    assert desk.payloads("seen") == []
    assert desk.payloads("asked") == [event("created", None, 1)]


def test_events_carry_trace_baggage_and_metadata(desk: Desk) -> None:
    seen: list[tuple[str | None, bytes]] = []

    def note(call: Call) -> None:
        seen.append((call.baggage, bytes(call.metadata)))
        call.reply()

    desk.engine.add_function("seen", note, module="test")
    config = Raw(json.dumps({"scope": "users"}).encode())
    desk.engine.triggers.add(Trigger("t", "state", "seen", config, Raw(b'{"m":1}'), None))
    trace = "ab" * 16
    desk.engine.call(
        "state::set",
        b'{"scope":"users","key":"u1","value":1}',
        None,
        traceparent=f"00-{trace}-{'cd' * 8}-01",
        baggage="tenant=1",
    )
    assert seen == [("tenant=1", b'{"m":1}')]
    written = next(s for s in desk.engine.spans if s.name == "call state::set")
    heard = next(s for s in desk.engine.spans if s.name == "call seen")
    told = next(s for s in desk.engine.spans if s.name == "state_triggers")
    assert (told.trace_id, told.parent_span_id, told.kind) == (trace, written.span_id, "internal")
    assert (heard.trace_id, heard.parent_span_id) == (trace, told.span_id)


def test_a_config_that_cannot_be_read_is_refused(desk: Desk) -> None:
    error = desk.bind("t", "seen", {"scope": 5})
    assert error is not None
    assert "$.scope" in error.message


def test_an_unbound_trigger_hears_nothing(desk: Desk) -> None:
    desk.handler("seen")
    desk.bind("t", "seen", {"scope": "users"})
    desk.engine.triggers.remove("t")
    put(desk, "users", "u1", 1)
    assert desk.payloads("seen") == []


def test_a_failing_handler_is_logged(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    desk.bind("t", "nowhere")
    with caplog.at_level(logging.WARNING, "iii.triggers"):
        put(desk, "users", "u1", 1)
    assert "nowhere failed: function_not_found" in caplog.text


async def test_stopping_takes_everything_back(desk: Desk) -> None:
    desk.engine.triggers.add(Trigger("t", "state", "seen", NULL, NULL, None))
    await desk.module.stop()
    assert "state::get" not in desk.engine.registry
    assert desk.engine.triggers.type_of("state") is None
    await desk.module.start()
    desk.handler("seen")
    put(desk, "users", "u1", 1)
    assert len(desk.payloads("seen")) == 1
