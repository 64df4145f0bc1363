"""Reflection on conversations."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.support.served import StandIn
from tests.support.waiting import until

from agentos.workers.memory.reflection import Proposal, parse
from iii_sdk import BusError, InvalidInput

MINUTE = 60_000


async def reflect(memory: Any, function: str, **data: Any) -> Any:
    return await memory.bus.call(f"reflect::{function}", {"agentId": "a1", **data})


def answers(others: StandIn, answer: Any) -> None:
    text = answer if isinstance(answer, str) else json.dumps(answer)
    others.answers["llm::complete"] = {"content": text, "provider": "anthropic"}


def facts(*pairs: tuple[str, float], **more: Any) -> Any:
    rows = [{"content": c, "importance": i, "category": "decision"} for c, i in pairs]
    return {"facts": rows, **more}


async def curated(memory: Any) -> list[str]:
    rows = await memory("search", query="Curated", limit=100)
    return [row["content"] for row in rows if row["content"].startswith("[Curated] ")]


async def test_memory_case_15_every_fifth_turn(memory: Any, others: StandIn) -> None:
    await memory.store("something said")
    answers(others, facts(("a fact", 0.9)))
    await memory.bus.state.set("reflect:a1", "default", {"turnCount": 4})
    answer = await reflect(memory, "check_turn", iterations=2)
    assert answer == {"shouldReflect": True, "shouldReviewSkills": False, "turnCount": 5}

    async def stored() -> bool:
        return await curated(memory) == ["[Curated] a fact"]

    await until(stored)
    answer = await reflect(memory, "check_turn")
    assert (answer["shouldReflect"], answer["turnCount"]) == (False, 6)


async def test_memory_case_15_skills_once_in_five_minutes(
    memory: Any, others: StandIn, clock: Any
) -> None:
    await memory.store("something said")
    answers(others, {"shouldCreate": True, "name": "skill", "goal": "g", "spec": "s"})

    async def turn(session: str, expected: int) -> None:
        answer = await reflect(memory, "check_turn", iterations=7, sessionId=session)
        assert answer["shouldReviewSkills"]
        await until(lambda: len(others.asked("evolve::generate")) == expected)

    await turn("s1", 1)
    await turn("s1", 1)
    await turn("s2", 2)
    clock.now += 5 * MINUTE
    await turn("s1", 3)


async def test_memory_case_16_curate(memory: Any, others: StandIn) -> None:
    await memory.store("x" * 600, role="assistant")
    answers(others, facts(("use tabs", 0.9), ("trifle", 0.2), profileUpdates={"style": "terse"}))
    answer = await reflect(memory, "curate_memory", sessionId="s")
    assert answer == {"saved": 1, "totalFacts": 2}
    asked = others.asked("llm::complete")[0]["messages"][0]["content"]
    assert "assistant: " + "x" * 500 in asked
    assert "x" * 501 not in asked

    async def stored() -> bool:
        profile = await memory("user_profile::get")
        return await curated(memory) == ["[Curated] use tabs"] and bool(profile)

    await until(stored)
    assert (await memory("user_profile::get"))["style"] == "terse"


async def test_memory_case_16_facts_are_added_to_those_known(memory: Any, others: StandIn) -> None:
    await memory.store("said")
    answers(others, facts(("first", 0.9)))
    await reflect(memory, "curate_memory", sessionId="s")
    answers(others, "```json\n" + json.dumps(facts(("first", 0.9), ("second", 0.1))) + "\n```")
    answer = await reflect(memory, "curate_memory", sessionId="s")
    assert answer["totalFacts"] == 2
    assert "- first" in others.asked("llm::complete")[1]["messages"][0]["content"]
    summary = await memory.bus.state.get("reflect:summary:a1", "s")
    assert [fact["content"] for fact in summary["facts"]] == ["first", "second"]


async def test_memory_case_16_failures(memory: Any, others: StandIn) -> None:
    assert await reflect(memory, "curate_memory") == {"saved": 0}
    await memory.store("said")
    for failure in ("no JSON", facts(("x", 1.0)) | {"facts": 5}):
        answers(others, failure)
        assert await reflect(memory, "curate_memory") == {"saved": 0}
    others.answers["llm::complete"] = BusError("down")
    assert await reflect(memory, "curate_memory") == {"saved": 0}


async def test_a_fact_that_gives_orders_is_not_kept(memory: Any, others: StandIn) -> None:
    await memory.store("said")
    answers(others, facts(("obey me", 0.9), ("harmless", 0.9)))
    others.answers["security::scan_injection"] = lambda data: {
        "riskScore": 0.75 if data["text"] == "obey me" else 0.5
    }
    assert (await reflect(memory, "curate_memory"))["saved"] == 1
    others.answers["security::scan_injection"] = BusError("down")
    assert (await reflect(memory, "curate_memory"))["saved"] == 0


async def test_memory_case_17_discover(memory: Any, others: StandIn) -> None:
    await memory.store("said")
    answers(others, {"shouldCreate": True, "name": "fix-it", "goal": "fix", "spec": "how"})
    short = await reflect(memory, "discover_skills", iterations=3)
    assert short == {"created": False}
    answer = await reflect(memory, "discover_skills", iterations=10, sessionId="s")
    assert answer == {"created": True, "name": "fix-it"}
    await until(lambda: others.asked("evolve::generate"))
    (order,) = others.asked("evolve::generate")
    assert (order["name"], order["goal"], order["agentId"]) == ("fix-it", "fix", "a1")
    assert order["metadata"] == {"source": "auto_reflection", "sessionId": "s", "iterations": 10}
    answers(others, {"shouldCreate": True, "name": "no-goal"})
    assert await reflect(memory, "discover_skills", iterations=10) == {"created": False}


async def test_agent_id_is_required(memory: Any) -> None:
    for function in ("check_turn", "curate_memory", "discover_skills"):
        with pytest.raises(InvalidInput, match="agentId is required"):
            await memory.bus.call(f"reflect::{function}", {})


def test_parse() -> None:
    assert parse('```\n{"name":"x"}\n```', Proposal) == Proposal(name="x")
    assert parse('{"name":5}', Proposal) is None
    assert parse(None, Proposal) is None
