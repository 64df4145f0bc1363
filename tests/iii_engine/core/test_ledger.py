"""What one worker may register."""

from __future__ import annotations

import logging
import sys
import tracemalloc
from typing import Any

import pytest
from msgspec import Raw
from tests.support.bus import Bus

from iii_engine.core import ledger
from iii_engine.core.access import Rules
from iii_engine.core.ledger import Ledger, Offered
from iii_sdk.protocol import (
    NULL,
    HttpAuth,
    HttpInvocation,
    RegisterFunction,
    RegisterService,
    RegisterTrigger,
    RegisterTriggerType,
    UnregisterFunction,
)


def function(id: str, size: int = 0) -> RegisterFunction:
    return RegisterFunction(id, metadata=Raw(b"x" * size) if size else NULL)


def test_number_and_size_are_counted_once_for_each_id(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "MAX_BYTES", 1000)
    book = Ledger()
    assert book.enter(function("a", 500)) is None
    assert book.enter(function("a", 900)) is None
    size = 900 + 2 * len(NULL) + sys.getsizeof("a")
    assert (len(book), book.size) == (1, size)
    refusal = book.enter(function("b", 200))
    assert refusal is not None
    assert refusal.code == "registration_limit"
    assert "1000 bytes" in refusal.message
    assert (len(book), book.size) == (1, size)
    book.strike(UnregisterFunction("a"))
    book.strike(UnregisterFunction("a"))
    assert book.enter(function("b", 200)) is None
    assert book.enter(RegisterTrigger("b", "t", "f")) is None  # another kind of thing
    assert len(book) == 2


BIG = "y" * 10_000


@pytest.mark.parametrize(
    "message",
    [
        RegisterFunction(BIG),
        RegisterFunction("f", description=BIG),
        RegisterFunction("f", invocation=HttpInvocation(BIG)),
        RegisterFunction("f", invocation=HttpInvocation("u", headers={"x": BIG})),
        RegisterFunction("f", invocation=HttpInvocation("u", headers={BIG: "x"})),
        RegisterFunction("f", invocation=HttpInvocation("u", auth=HttpAuth("hmac", BIG))),
        RegisterTrigger("t", BIG, "f"),
        RegisterTrigger("t", "x", BIG),
        RegisterTrigger("t", "x", "f", config=Raw(BIG.encode())),
        RegisterTriggerType("t", description=BIG),
        RegisterService("s", name=BIG),
        RegisterService("s", description=BIG),
        RegisterService("s", parent_service_id=BIG),
    ],
)
def test_everything_that_is_kept_counts(message: Offered) -> None:
    book = Ledger()
    assert book.enter(message) is None
    assert book.size > len(BIG)


def test_a_description_counts_what_it_takes_in_memory() -> None:
    book = Ledger()
    book.enter(RegisterFunction("f", description=BIG + "\U0001f600"))
    assert book.size > 4 * len(BIG)


@pytest.mark.parametrize(
    "fields",
    [
        {"type": "registertrigger", "trigger_type": "x", "function_id": "f", "config": {"a": 1}},
        {"type": "registerfunction", "metadata": {"a": 1}},
        {"type": "registertriggertype", "trigger_request_format": {"a": 1}},
    ],
)
def test_the_frame_of_a_registration_is_not_kept(fields: dict[str, Any]) -> None:
    worker = Bus().peer()
    tracemalloc.start()
    try:
        for n in range(20):
            worker.tell(**fields, id=f"n{n}", unknown="x" * 100_000)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 1_000_000


@pytest.fixture
def _few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "MAX_REGISTRATIONS", 3)


@pytest.mark.usefixtures("_few")
@pytest.mark.parametrize("guarded", [False, True])
def test_a_flood_ends_at_the_limit_and_others_do_not_notice(
    guarded: bool, caplog: pytest.LogCaptureFixture
) -> None:
    bus = Bus()
    worker = bus.guarded(Rules(guarded=False)) if guarded else bus.peer()
    other = bus.peer("o::f")
    with caplog.at_level(logging.WARNING):
        worker.offer(*(f"w::{n}" for n in range(10)))
    (line,) = [r for r in caplog.records if "at most 3 registrations" in r.getMessage()]
    assert "function 'w::3'" in line.getMessage()
    assert [f.id for f in bus.engine.registry if f.id.startswith("w::")] == ["w::0", "w::1", "w::2"]
    worker.tell("registertrigger", id="t", trigger_type="x", function_id="w::0")
    (told,) = worker.inbox()
    assert told["type"] == "triggerregistrationresult"
    assert told["id"] == "t"
    assert told["error"] == {
        "code": "registration_limit",
        "message": "a worker may have at most 3 registrations",
    }
    worker.tell("registertriggertype", id="y")
    worker.tell("registerservice", id="s")
    assert bus.engine.triggers.type_of("y") is None
    assert bus.engine.services.owner_of("s") is None
    worker.offer("w::0")  # one of its own, again
    worker.tell("unregisterfunction", id="w::1")
    worker.offer("w::new")
    assert "w::new" in bus.engine.registry
    other.tell("registertrigger", id="t", trigger_type="x", function_id="o::f")
    assert bus.engine.triggers.get("t") is not None


@pytest.mark.usefixtures("_few")
def test_who_comes_back_has_room_again() -> None:
    bus = Bus()
    worker = bus.peer("a", "b", "c", "d")
    bus.engine.disconnect(worker.session)
    again = bus.peer("d", "e")
    assert again.session.functions.keys() == {"d", "e"}
