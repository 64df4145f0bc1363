"""Who is let in, how long a turn may take, and where its end is told."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.support.chat_house import ChatHouse
from tests.support.waiting import until

from agentos.workers.agent_core.settings import Settings
from iii_sdk import BusError, Timeout, UpstreamError


async def test_agent_core_case_14_rate_limited_and_no_slot_is_given_back() -> None:
    house = ChatHouse()
    house.offer(
        {
            "rate::check_agent": {"allowed": False, "retryAfter": 7},
            "rate::acquire_concurrent": {"acquired": True},
            "rate::release_concurrent": None,
        }
    )
    response = await house.chat()
    assert response["error"]["code"] == "rate_limited"
    assert response["error"]["retryAfter"] == 7
    assert "7" in response["content"]
    assert house.fake.of("rate::acquire_concurrent") == []
    assert house.fake.of("rate::release_concurrent") == []


async def test_a_slot_is_given_back_once_whatever_happens() -> None:
    house = ChatHouse()
    slot = {"acquired": True, "current": 1, "limit": 10, "leaseId": "l1"}
    house.offer({"rate::acquire_concurrent": slot, "rate::release_concurrent": None})
    await house.chat()
    house.offer({"llm::complete": UpstreamError("down")})
    with pytest.raises(UpstreamError):
        await house.chat()
    released = house.fake.of("rate::release_concurrent")
    assert released == [{"agentId": "default", "leaseId": "l1"}] * 2


async def test_no_slot_left() -> None:
    house = ChatHouse()
    full = {"acquired": False, "current": 10, "limit": 10}
    house.offer({"rate::acquire_concurrent": full, "rate::release_concurrent": None})
    response = await house.chat()
    assert response["error"]["code"] == "concurrency"
    assert "(10/10)" in response["content"]
    assert house.fake.of("rate::release_concurrent") == []


@pytest.mark.parametrize(
    ("function_id", "code", "text"),
    [
        ("rate::check_agent", "rate_limited", "60"),
        ("rate::acquire_concurrent", "concurrency", "(0/0)"),
        ("cost::budget_check", "budget_exceeded", "$0.0000 spent of $0.0000"),
    ],
)
async def test_a_guard_that_fails_refuses(function_id: str, code: str, text: str) -> None:
    house = ChatHouse()
    house.offer({function_id: BusError("broken")})
    response = await house.chat()
    assert response["error"]["code"] == code
    assert text in response["content"]


async def test_a_budget_that_is_spent() -> None:
    house = ChatHouse()
    house.offer({"cost::budget_check": {"withinBudget": False, "spent": 0.5, "limit": 0.001}})
    response = await house.chat()
    assert response["error"]["code"] == "budget_exceeded"
    assert "$0.5000 spent of $0.0010" in response["content"]
    assert house.prompts == []


async def test_strict_guards_refuse_what_is_not_deployed() -> None:
    house = ChatHouse(settings=Settings(strict_guards=True))
    assert (await house.chat())["error"]["code"] == "rate_limited"


@pytest.mark.parametrize("agent", ["", "  ", "a/b", "x" * 257])
async def test_an_agent_id_that_is_none(agent: str) -> None:
    house = ChatHouse()
    response = await house.chat(agent=agent)
    assert response["error"]["code"] == "invalid_agent"
    assert house.fake.calls == []


async def test_shutting_down_refuses_and_waits_for_running_turns() -> None:
    house = ChatHouse()
    gate = asyncio.Event()

    async def slow(payload: Any) -> Any:
        await gate.wait()
        return {"content": "late"}

    house.offer({"llm::complete": slow})
    running = asyncio.create_task(house.chat())
    await until(lambda: house.prompts, "the model is asked")
    closing = asyncio.create_task(house.drain.close(5))
    await until(lambda: house.drain.closing)
    assert (await house.chat())["error"]["code"] == "shutting_down"
    assert not closing.done()
    gate.set()
    assert (await running)["content"] == "late"
    await closing
    assert len(house.fake.of("memory::store")) == 2


async def test_a_turn_that_takes_too_long_is_cancelled() -> None:
    house = ChatHouse(settings=Settings(chat_seconds=0.05))
    cancelled = asyncio.Event()

    async def endless(payload: Any) -> Any:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    house.offer(
        {
            "llm::complete": endless,
            "rate::acquire_concurrent": {"acquired": True},
            "rate::release_concurrent": None,
        }
    )
    with pytest.raises(Timeout, match="Chat timeout exceeded"):
        await house.chat()
    assert cancelled.is_set()
    assert len(house.fake.of("rate::release_concurrent")) == 1


async def test_the_answer_goes_to_the_reply_topic() -> None:
    house = ChatHouse()
    await house.chat(replyTopic="answers", sessionId="s")
    (message,) = [data for topic, data in house.fake.published if topic == "answers"]
    assert message["agentId"] == "default"
    assert message["sessionId"] == "s"
    assert message["content"] == "LLM response"


@pytest.mark.parametrize(("count", "left"), [(2, 1), (0, 0), (-1, -1)])
async def test_a_message_from_an_agent_lowers_the_queue_depth(count: int, left: int) -> None:
    house = ChatHouse()
    house.fake.stored["agent_queue_depth", "default"] = {"count": count}
    await house.chat(fromAgentId="other")
    assert house.fake.stored["agent_queue_depth", "default"] == {"count": left}


async def test_the_queue_depth_is_lowered_after_a_failure_too() -> None:
    house = ChatHouse()
    house.fake.stored["agent_queue_depth", "default"] = {"count": 1}
    house.offer({"llm::route": BusError("broken")})
    with pytest.raises(BusError):
        await house.chat(fromAgentId="other")
    assert house.fake.stored["agent_queue_depth", "default"] == {"count": 0}


async def test_the_next_turn_of_a_session_waits_until_the_last_is_stored() -> None:
    house = ChatHouse()
    stored = asyncio.Event()

    async def slow_store(payload: Any) -> Any:
        await stored.wait()
        return {}

    house.offer({"memory::store": slow_store})
    first = asyncio.create_task(house.chat(sessionId="s"))
    await until(lambda: house.fake.of("memory::store"), "the first message is being stored")
    second = asyncio.create_task(house.chat(sessionId="s"))
    await until(lambda: len(house.fake.of("llm::route")) == 2, "the second turn has begun")
    assert len(house.prompts) == 1
    stored.set()
    await asyncio.gather(first, second)
    assert len(house.prompts) == 2
