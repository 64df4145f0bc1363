from __future__ import annotations

import asyncio

import pytest

from iii_sdk import Unavailable, connect
from iii_sdk.connection import State
from iii_sdk.outbox import Outbox


async def test_what_waits_for_a_connection_is_bounded_in_bytes(monkeypatch):
    monkeypatch.setattr("iii_sdk.outbox.HELD_BYTES", 100)
    outbox = Outbox(asyncio.get_running_loop())
    assert outbox.hold("a", b"x" * 60) == []
    assert outbox.hold(None, b"x" * 40) == []
    assert outbox.hold("b", b"x" * 50) == ["a"]
    assert outbox.hold("c", b"x" * 101) == ["b"]  # one message may be as large as messages are
    assert [call for call, _ in outbox.release()] == ["c"]
    assert outbox.hold("d", b"x" * 100) == []


async def test_the_number_is_bounded_too(monkeypatch):
    monkeypatch.setattr("iii_sdk.outbox.HELD_CALLS", 2)
    outbox = Outbox(asyncio.get_running_loop())
    assert [outbox.hold(call, b"x") for call in "abc"] == [[], [], ["a"]]


@pytest.mark.parametrize("timeout", [None, 30])
async def test_a_call_that_made_room_ends_at_once(engine, wait_until, monkeypatch, timeout):
    monkeypatch.setattr("iii_sdk.outbox.HELD_BYTES", 200)
    async with connect(engine.url) as bus:
        await engine.stop()
        await wait_until(lambda: bus.connection.state is not State.CONNECTED)
        first = asyncio.create_task(bus.call("f", {}, timeout=timeout))
        await asyncio.sleep(0)
        bus.send("f", "x" * 200)
        with pytest.raises(Unavailable) as raised:
            await asyncio.wait_for(first, 5)
        assert raised.value.code == "connection_overloaded"
