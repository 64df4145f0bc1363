"""The gates in front of a function call."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.chat_house import OPEN_GATES
from tests.support.fake_bus import FakeBus

from agentos.workers.agent_core.gates import Denied, Gates, capability_of
from agentos.workers.agent_core.models import AgentConfig, FunctionCall
from agentos.workers.agent_core.peers import Peers
from iii_sdk import BusError

CALL = FunctionCall("c1", "tool::x", {"a": 1})


async def check(
    gates: dict[str, Any], agent: AgentConfig | None = None, strict: bool = False
) -> FakeBus:
    fake = FakeBus({**OPEN_GATES, "tool::x": 1, **gates})
    for function_id in [name for name, value in gates.items() if value == "absent"]:
        del fake.functions[function_id]
    peers = await Peers.look(fake.bus, strict)
    checked = agent or AgentConfig(name="a")
    await Gates(peers, "a1", checked, frozenset({"tool::x"})).check(CALL)
    return fake


@pytest.mark.parametrize(
    ("function_id", "capability"),
    [
        ("memory::store", "memory"),
        ("security::check::deep", "security"),
        ("simple_tool", "simple_tool"),
        ("::", ""),
    ],
)
def test_agent_core_case_13_capability_text(function_id: str, capability: str) -> None:
    assert capability_of(function_id) == capability


async def test_open_gates_are_asked_in_order() -> None:
    fake = await check({})
    assert [i for i, _ in fake.calls if i != "engine::functions::list"] == [
        "security::check_capability",
        "policy::check",
        "guard::check",
        "hook::fire",
        "approval::decide_tier",
        "approval::check",
    ]
    assert fake.of("security::check_capability") == [
        {"agentId": "a1", "capability": "tool", "resource": "tool::x"}
    ]


@pytest.mark.parametrize(
    ("gate", "answer", "text"),
    [
        ("security::check_capability", {"allowed": False}, "capability denied"),
        ("security::check_capability", {"decision": "block"}, "capability denied"),
        ("security::check_capability", "absent", "capability denied"),
        ("policy::check", {"allowed": False, "reason": "no"}, "blocked by policy: no"),
        ("policy::check", {"action": "Allow"}, "blocked by policy: denied"),
        ("guard::check", {"decision": "circuit_break", "reason": "loop"}, "by guard: loop"),
        ("approval::decide_tier", {"approved": False, "tier": "sync"}, "not approved (tier: sync)"),
        ("approval::check", {"required": True, "status": "pending"}, "approval: pending"),
    ],
)
async def test_refusals(gate: str, answer: Any, text: str) -> None:
    with pytest.raises(Denied) as refused:
        await check({gate: answer})
    assert text in str(refused.value)


@pytest.mark.parametrize("gate", [g for g in OPEN_GATES if not g.startswith("security")])
async def test_a_gate_that_fails_refuses_and_an_absent_one_is_skipped(gate: str) -> None:
    with pytest.raises(Denied):
        await check({gate: BusError("broken")})
    await check({gate: "absent"})
    with pytest.raises(Denied):
        await check({gate: "absent"}, strict=True)


async def test_approval_that_is_not_required_passes() -> None:
    await check({"approval::check": {"required": False, "approved": False}})
    await check({"approval::check": {"required": True, "approved": True}})


async def test_a_warning_of_the_loop_guard_only_delays() -> None:
    await check({"guard::check": {"decision": "warn", "backoffMs": 1, "reason": "again"}})


async def test_overrides_skip_the_approvals() -> None:
    agent = AgentConfig(name="a", approval_overrides={"tool::x": "auto"})
    fake = await check({"approval::decide_tier": {"approved": False}}, agent)
    assert fake.of("approval::check") == []


async def test_an_agent_without_a_record_needs_no_capabilities() -> None:
    fake = FakeBus({**OPEN_GATES, "tool::x": 1, "security::check_capability": BusError("no")})
    peers = await Peers.look(fake.bus)
    await Gates(peers, "a1", None, frozenset({"tool::x"})).check(CALL)
    assert fake.of("security::check_capability") == []
