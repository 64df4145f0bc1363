"""Nobody hears of a caller that somebody made up (wire protocol 5.3)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.support.engine import RunningEngine
from tests.support.raw_worker import RawWorker

FORGED = {"n": 1, "_caller_worker_id": "forged"}
ACTION = {"type": "enqueue", "queue": "default"}
ITEM = {"stream_name": "orders", "group_id": "g", "item_id": "i"}


@pytest.mark.parametrize(
    ("asked", "called", "data"),
    [
        (
            (
                "engine::transact",
                {"changes": [{"function_id": "seen", "data": FORGED, "action": ACTION}]},
            ),
            "seen",
            {"n": 1},
        ),
        (
            ("stream::set", {**ITEM, "data": 1, **FORGED}),
            "stream::set(orders)",
            {**ITEM, "data": 1, "n": 1},
        ),
        (("stream::get", {**ITEM, **FORGED}), "stream::get(orders)", {**ITEM, "n": 1}),
    ],
)
async def test_a_worker_hears_of_no_caller_that_was_made_up(
    engine: RunningEngine, asked: tuple[str, Any], called: str, data: Any
) -> None:
    async with RawWorker(engine.url) as worker, RawWorker(engine.url) as forger:
        await worker.register(called)
        asking = asyncio.ensure_future(forger.call(*asked))
        invocation = await worker.invoked(called)
        assert invocation["data"] == data
        await worker.answer(invocation, {"old_value": None, "new_value": 1})
        await asking
