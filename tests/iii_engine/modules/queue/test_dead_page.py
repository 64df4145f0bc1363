"""A page of the dead jobs of a topic that very many functions subscribe to."""

from __future__ import annotations

import msgspec
from tests.support.queue_desk import QueueDesk
from tests.support.waiting import until

#: More than the interpreter has room for when each of them is asked within the answer before.
MANY = 600


async def test_it_is_answered(desk: QueueDesk) -> None:
    for number in range(MANY):
        desk.trigger(f"t{number}", "topic", f"f{number}", queue_config={"max_retries": 1})
    desk.publish("topic", "x")
    await until(lambda: desk.stats("topic")["dlq_depth"] == MANY)  # nobody has the functions
    answers: list[tuple[msgspec.Raw, object]] = []
    desk.engine.call(
        "engine::queue::dlq_messages",
        b'{"topic":"topic","limit":10}',
        lambda *answer: answers.append(answer),
    )
    await until(lambda: answers)
    page, error = answers[0]
    assert error is None
    assert [dead["payload"] for dead in msgspec.json.decode(page)] == ["x"] * 10
