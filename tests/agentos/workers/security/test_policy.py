"""Policies."""

from __future__ import annotations

from typing import Any

import pytest

from agentos.workers.security.policy import (
    DEFAULT_GLOBAL,
    CheckPolicy,
    Decision,
    PolicyConfig,
    Rule,
    decide,
)
from iii_sdk import Bus, InvalidInput


def allowed(tool: str, agent: PolicyConfig | None, everyone: PolicyConfig | None) -> bool:
    decision = decide(CheckPolicy("a1", tool), agent, everyone)
    assert isinstance(decision, Decision)
    return decision.allowed


def test_security_case_12_first_match_decides() -> None:
    agent = PolicyConfig([Rule("file::delete", "Deny"), Rule("file::*", "Allow")])
    assert not allowed("file::delete", agent, None)
    assert allowed("file::read", agent, None)


def test_security_case_12_agent_beats_global_and_nothing_denies() -> None:
    agent = PolicyConfig([Rule("file::read", "Allow")])
    everyone = PolicyConfig([Rule("file::*", "Deny"), Rule("web::*", "Allow")])
    assert allowed("file::read", agent, everyone)
    assert not allowed("file::write", agent, everyone)
    assert allowed("web::get", agent, everyone)
    assert not allowed("file::read", None, None)


def test_the_default_policy() -> None:
    for tool in ("tool::x", "memory::recall", "file::read", "web::get", "skill::get"):
        assert allowed(tool, None, DEFAULT_GLOBAL)
    for tool in ("file::write", "skill::install", "state::set", ""):
        assert not allowed(tool, None, DEFAULT_GLOBAL)


async def check(bus: Bus, **fields: Any) -> Any:
    return await bus.call("policy::check", fields)


async def test_security_case_13_limits(bus: Bus) -> None:
    assert await check(bus, agentId="a1", tool="tool::x", subagentDepth=6) == {
        "allowed": False,
        "reason": "subagent_depth_exceeded",
        "maxDepth": 5,
        "currentDepth": 6,
    }
    assert (await check(bus, agentId="a1", tool="tool::x", subagentDepth=5))["allowed"]
    assert await check(bus, agentId="a1", tool="tool::x", currentConcurrency=10) == {
        "allowed": False,
        "reason": "concurrency_limit_exceeded",
        "maxConcurrency": 10,
        "currentConcurrency": 10,
    }


async def test_security_case_12_rules_on_the_bus(bus: Bus) -> None:
    assert await check(bus, agentId="a1", resource="memory::recall") == {
        "allowed": True,
        "action": "Allow",
        "tool": "memory::recall",
        "agentId": "a1",
    }
    policy = {"rules": [{"pattern": "shell::*", "action": "Allow"}], "maxSubagentDepth": 1}
    answer = await bus.call("policy::set_rules", {"agentId": "a1", "policy": policy})
    assert answer == {"updated": True, "key": "a1", "ruleCount": 1}
    assert (await check(bus, agentId="a1", tool="shell::run"))["allowed"]
    assert not (await check(bus, agentId="a2", tool="shell::run"))["allowed"]
    assert (await check(bus, agentId="a1", tool="x", subagentDepth=2))["maxDepth"] == 1
    (entry,) = [e for e in await bus.state.list("audit") if "prevHash" in e]
    assert (entry["type"], entry["agentId"]) == ("policy_updated", "a1")
    assert entry["detail"] == {"ruleCount": 1}


async def test_reading_rules(bus: Bus) -> None:
    everyone = await bus.call("policy::get_rules", {})
    assert everyone["key"] == "__global"
    assert len(everyone["policy"]["rules"]) == 9
    assert everyone["policy"]["maxConcurrency"] is None
    assert await bus.call("policy::get_rules", {"agentId": "new"}) == {
        "key": "new",
        "policy": {"rules": [], "maxSubagentDepth": 5, "maxConcurrency": 10},
    }


async def test_a_policy_that_is_there_is_not_replaced(bus: Bus) -> None:
    await bus.call("policy::set_rules", {"policy": {"rules": []}})
    assert not (await check(bus, tool="memory::recall"))["allowed"]
    with pytest.raises(InvalidInput, match=r"\$\.policy\.rules\[0\]\.action"):
        await bus.call(
            "policy::set_rules", {"policy": {"rules": [{"pattern": "*", "action": "Maybe"}]}}
        )
