"""Messages that reach an agent through its durable inbox."""

from __future__ import annotations

from tests.e2e.conftest import House
from tests.support.waiting import until


async def test_a_message_in_the_inbox_is_answered_by_the_agent(house: House) -> None:
    house.model.then_say("Noted.")
    message = {"agentId": "default", "message": "Remember the milk"}
    await house.bus.call("enqueue", {"topic": "agent.inbox", "data": message})
    await until(lambda: house.model.chats, "the model was asked")
    assert "Remember the milk" in str(house.model.chats[0].body["messages"])

    async def handled() -> bool:
        stats = await house.bus.call("engine::queue::topic_stats", {"topic": "agent.inbox"})
        assert stats["dlq_depth"] == 0
        return bool(stats["depth"] == 0)

    await until(handled, "the job is done")
