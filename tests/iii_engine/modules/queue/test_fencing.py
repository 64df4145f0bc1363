"""Tokens of jobs that go from one engine to another, on every server."""

from __future__ import annotations

import json

import pytest
from tests.support.queue_engine import Shared, lose, shared
from tests.support.servers import Server
from tests.support.waiting import until

from iii_engine.core.router import Call


def hold(engine: Shared, tokens: list[int]) -> list[Call]:
    """Register `work`, which answers nothing, and note the tokens that it is told."""
    calls: list[Call] = []

    def work(call: Call) -> None:
        tokens.append(json.loads(bytes(call.metadata))["iii_queue"]["token"])
        calls.append(call)

    engine.core.add_function("work", work, module="test")
    return calls


@pytest.mark.promise(
    "Queues",
    "A job that goes to another engine of the same server has a greater token there (RabbitMQ: as "
    "far as the clocks of the engines agree).",
)
async def test_the_next_engine_that_has_a_job_has_a_greater_token(server: Server) -> None:
    queue = {"visibility_timeout_ms": 60_000, "max_retries": 9, "backoff_ms": 50}
    async with shared(server, 2, q=queue) as (second, first):  # as they were started
        tokens: list[int] = []
        held = hold(first, tokens)
        queues = second.app.modules["iii-queue"].queues  # type: ignore[attr-defined]
        (waiting,) = [each for each in queues.consumers() if each.queue.name == "q"]
        waiting.close()
        await first.enqueue("q", "work", 1)
        await until(lambda: len(held) == 1)
        held[0].fail("broken", "once")
        await until(lambda: len(held) == 2)
        held = hold(second, tokens)
        waiting.open()
        lose(first)
        await until(lambda: len(held) == 1)
        held[0].fail("broken", "once")
        await until(lambda: len(held) == 2)
        held[1].reply()
        assert len(tokens) == 4
        assert tokens == sorted(set(tokens))
