"""A page of the dead jobs of a topic that very many functions subscribe to."""

from __future__ import annotations

from typing import Any

import msgspec
from tests.support.queue_desk import QueueDesk
from tests.support.waiting import until

#: More than the interpreter has room for when each of them is asked within the answer before.
MANY = 600


async def test_it_is_answered(desk: QueueDesk) -> None:
    for number in range(MANY):
        desk.trigger(f"t{number}", "topic", f"f{number}", queue_config={"max_retries": 1})
    desk.publish("topic", "x")
    while (await later(desk, "topic_stats", topic="topic"))["dlq_depth"] < MANY:
        pass  # nobody has the functions
    page = await later(desk, "dlq_messages", topic="topic", limit=10)
    assert [dead["payload"] for dead in page] == ["x"] * 10


async def later(desk: QueueDesk, function: str, **request: Any) -> Any:
    """The answer to a question that takes several turns of the loop."""
    answers: list[tuple[msgspec.Raw, object]] = []
    desk.engine.call(
        f"engine::queue::{function}",
        msgspec.json.encode(request),
        lambda *answer: answers.append(answer),
    )
    await until(lambda: answers)
    result, error = answers[0]
    assert error is None
    return msgspec.json.decode(result)
