"""Names and keys are short: engines keep them for long, some of them several times."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.engine import RunningEngine
from tests.support.raw_worker import CallFailed, RawWorker

LONG, LONGER = "x" * 1025, "x" * 4097
RECORD = {"scope": "s", "key": "k", "value": 1}
ITEM = {"stream_name": "s", "group_id": "g", "item_id": "i", "data": 1}
MESSAGE = {"topic": "t", "data": 1}

CASES = [
    ("state::set", RECORD, "scope", LONGER),
    ("state::set", RECORD, "key", LONGER),
    ("stream::set", ITEM, "stream_name", LONGER),
    ("stream::set", ITEM, "item_id", LONGER),
    ("publish", MESSAGE, "topic", LONG),
    ("iii::durable::publish", MESSAGE, "topic", LONG),
    ("iii::durable::publish", MESSAGE, "idempotency_key", LONG),
    ("iii::durable::publish", MESSAGE, "debounce_key", LONG),
    ("iii::durable::publish", MESSAGE, "message_id", LONG),
    ("iii::queue::pause", {}, "queue", LONG),
]


@pytest.mark.parametrize(("function_id", "data", "field", "text"), CASES)
async def test_longer_names_are_refused_by_the_name_of_the_field(
    engine: RunningEngine, function_id: str, data: dict[str, Any], field: str, text: str
) -> None:
    async with RawWorker(engine.url) as worker:
        with pytest.raises(CallFailed, match=rf"length <= {len(text) - 1} - at `\$\.{field}`"):
            await worker.call(function_id, {**data, field: text})


async def test_keys_of_jobs_are_short_in_an_action_as_well(engine: RunningEngine) -> None:
    async with RawWorker(engine.url) as worker:
        for options in ({"queue": LONG}, {"queue": "default", "idempotency_key": LONG}):
            action = {"type": "enqueue", **options}
            with pytest.raises(CallFailed, match="length <= 1024") as refused:
                await worker.call("f", {}, action=action)
            assert refused.value.code == "invalid_message"


async def test_what_has_a_longer_name_can_be_read_and_removed(engine: RunningEngine) -> None:
    """Other programs may have made it, or an engine before there was a bound."""
    async with RawWorker(engine.url) as worker:
        record = {"scope": LONGER, "key": LONGER}
        item = {"stream_name": LONGER, "group_id": LONGER, "item_id": LONGER}
        assert await worker.call("state::get", record) is None
        assert await worker.call("state::delete", record) is None
        assert await worker.call("state::list", {"scope": LONGER}) == []
        assert await worker.call("stream::get", item) is None
