"""A lone surrogate is no text: it is refused where it is said, or replaced, and stops nothing."""

from __future__ import annotations

import logging

import pytest

from iii_sdk import BusError, Worker, connect, protocol
from iii_sdk.bindings import subscribe
from iii_sdk.connection import Connection
from iii_sdk.metadata import worker_metadata
from iii_sdk.owned_types import OwnedTypes
from iii_sdk.protocol import JobOptions, RegisterTrigger, RegisterTriggerType
from iii_sdk.registrations import Registrations, TypeHandler
from iii_sdk.websocket import WebSocketEndpoint

BAD = "q\ud800"


async def test_a_call_of_such_an_id_is_refused_and_forgotten(bus):
    with pytest.raises(BusError, match="lone surrogate") as raised:
        await bus.call(BAD, {}, timeout=None)
    assert raised.value.code == "serialization_error"
    assert len(bus.connection._calls) == 0
    with pytest.raises(BusError, match="lone surrogate"):
        bus.send(BAD, {})
    assert (await bus.call("engine::channels::create", {}))["writer"]


async def test_a_queue_or_key_of_such_a_name_is_refused(bus):
    with pytest.raises(BusError, match="lone surrogate"):
        await bus.enqueue(BAD, "f", {})
    with pytest.raises(BusError, match="lone surrogate"):
        await bus.enqueue("q", "f", {}, options=JobOptions(key=BAD))


async def test_what_cannot_be_said_is_not_offered(engine, serve):
    worker = Worker("w")

    @worker.function("w::good")
    async def good() -> int:
        return 1

    with pytest.raises(ValueError, match="lone surrogate"):
        worker.function(BAD)(good)
    with pytest.raises(ValueError, match="lone surrogate"):
        worker.function("w::described", description=BAD)(good)
    with pytest.raises(ValueError, match="lone surrogate"):
        worker.trigger_type(BAD, TypeHandler(bind=good))
    await serve(worker)
    assert await engine.call("w::good") == 1
    with pytest.raises(ValueError, match="lone surrogate"):
        worker.function("w::late", aliases=(BAD,))(good)
    async with connect(engine.url) as bus:
        with pytest.raises(ValueError, match="lone surrogate"):
            bus.bind(BAD, subscribe("t"))
        assert bus.connection.registrations.triggers == {}


async def test_a_worker_of_such_a_name_is_refused():
    with pytest.raises(ValueError, match="lone surrogate"):
        Connection(WebSocketEndpoint(None), worker_metadata(BAD))


async def fail(*_: object) -> None:
    raise ValueError(BAD)


@pytest.fixture
def quiet(monkeypatch):
    """Such a text in the log is more than the reports of tests can carry."""
    monkeypatch.setattr(logging.getLogger("iii.sdk"), "disabled", True)


async def test_an_error_that_says_such_a_thing_arrives(engine, serve, quiet):
    worker = Worker("w")
    worker.function("w::fails")(fail_plainly)
    await serve(worker)
    with pytest.raises(LookupError) as raised:
        await engine.call("w::fails")
    assert raised.value.args == ("invocation_failed", "q\ufffd")


def fail_plainly() -> None:
    raise ValueError(BAD)


async def test_a_refused_trigger_is_answered_too(quiet, wait_until):
    registrations = Registrations()
    registrations.add_type(RegisterTriggerType("t"), TypeHandler(bind=fail))
    answers = []
    OwnedTypes(registrations, lambda message: answers.append(protocol.encode(message))).register(
        RegisterTrigger("1", "t", "f")
    )
    await wait_until(lambda: answers)
    assert protocol.decode(answers[0]).error.message == "q\ufffd"
