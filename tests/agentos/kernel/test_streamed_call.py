"""Calls whose callee tells what happens while it works."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.engine import RunningEngine
from tests.support.served import served

from agentos.kernel.streamed_call import Event, streamed_call
from iii_sdk import Bus, ChannelRef, Conflict, Worker


def talker() -> Worker:
    worker = Worker("talker")

    @worker.function("talk::count")
    async def count(asked: dict[str, Any], bus: Bus) -> int:
        writer = await bus.open_writer(ChannelRef(**asked["out"]))
        for number in range(asked["to"]):
            await writer.send_text(f'{{"n":{number}}}\n')
        await writer.close()
        return int(asked["to"])

    @worker.function("talk::fail")
    async def fail(asked: dict[str, Any]) -> None:
        raise Conflict("taken")

    return worker


async def test_every_event_comes_before_the_result(engine: RunningEngine) -> None:
    events: list[Event] = []

    async def note(event: Event) -> None:
        events.append(event)

    async with served(engine, talker()) as bus:
        result = await streamed_call(
            bus,
            "talk::count",
            {"to": 200},
            writer_field="out",
            on_event=note,
            kind=int,
            timeout=5,
        )
    assert result == 200
    assert [event["n"] for event in events] == list(range(200))


async def test_a_failure_does_not_wait_for_the_channel(engine: RunningEngine) -> None:
    async def note(event: Event) -> None:
        raise AssertionError(event)

    async with served(engine, talker()) as bus:
        with pytest.raises(Conflict, match="taken"):
            await streamed_call(
                bus, "talk::fail", {}, writer_field="out", on_event=note, kind=int, timeout=5
            )
