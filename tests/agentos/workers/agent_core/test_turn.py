"""The algorithm of one chat, with every other worker scripted."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.support.chat_house import OPEN_GATES, ChatHouse, asks, says

from agentos.workers.agent_core.settings import Settings
from iii_sdk import BusError, UpstreamError

TOOL = "tool::web_search"
SEARCH = asks(("tc1", TOOL, {"query": "test"}))


def house_with_tool(*answers: Any, **gates: Any) -> ChatHouse:
    house = ChatHouse(*answers)
    house.offer({**OPEN_GATES, TOOL: {"hits": 3}, "tool::file_read": "text", **gates})
    house.agent("default", capabilities={"functions": ["tool::"]})
    return house


async def test_agent_core_case_1_a_plain_answer_and_everything_around_it() -> None:
    house = ChatHouse()
    response = await house.chat("Hello", sessionId="s1")

    assert response["content"] == "LLM response"
    assert response["usage"]["total"] == 30
    assert response["iterations"] == 0
    assert response["sessionId"] == "s1"
    assert response["model"] == "claude-haiku-4-5"
    assert "error" not in response
    (recall,) = house.fake.of("memory::recall")
    assert recall == {"agentId": "default", "query": "Hello", "limit": 20}
    assert len(house.fake.of("llm::route")) == 1
    assert house.fake.of("security::scan_injection") == [{"text": "Hello"}]
    stores = house.fake.of("memory::store")
    assert [(s["role"], s["content"]) for s in stores] == [
        ("user", "Hello"),
        ("assistant", "LLM response"),
    ]
    assert stores[1]["tokenUsage"]["total"] == 30
    assert len(house.hooks("AgentLoopEnd")) == 1
    assert house.fake.of("guard::reset") == [{"agentId": "default"}]
    hour = f"default:{datetime.now(UTC):%Y-%m-%dT%H}"
    assert house.fake.stored["metering", "default"] == {"totalTokens": 30, "invocations": 1}
    assert house.fake.stored["metering_hourly", hour] == {"tokens": 30, "invocations": 1}


@pytest.mark.parametrize("scan", [{"riskScore": 0.5}, {}, {"riskScore": "not_a_number"}])
async def test_agent_core_case_2_scores_that_pass(scan: Any) -> None:
    house = ChatHouse()
    house.offer({"security::scan_injection": scan})
    assert (await house.chat())["content"] == "LLM response"


@pytest.mark.parametrize(
    "scan", [{"riskScore": 0.9}, {"riskScore": 0.500001}, {"block": True}, BusError("broken"), None]
)
async def test_agent_core_case_2_scores_that_are_refused(scan: Any) -> None:
    house = ChatHouse()
    house.offer({"security::scan_injection": scan})
    response = await house.chat()
    assert "injection detected" in response["content"]
    assert response["error"]["code"] == "injection_rejected"
    assert response["iterations"] == 0
    assert house.prompts == []
    assert house.fake.of("memory::store") == []


async def test_agent_core_case_2_the_risk_is_told_with_two_decimals() -> None:
    house = ChatHouse()
    house.offer({"security::scan_injection": {"riskScore": 0.9}})
    assert "0.90" in (await house.chat())["content"]


async def test_a_missing_scanner_refuses() -> None:
    house = ChatHouse()
    house.without("security::scan_injection")
    assert (await house.chat())["error"]["code"] == "injection_rejected"


async def test_agent_core_case_3_a_tool_round() -> None:
    house = house_with_tool(SEARCH, says("Final answer"))
    response = await house.chat()
    assert (response["content"], response["iterations"]) == ("Final answer", 1)
    assert house.fake.of(TOOL) == [{"query": "test"}]
    assistant, tool = house.prompts[1]["messages"][-2:]
    assert assistant["role"] == "assistant"
    assert assistant["content"] is None
    assert assistant["tool_calls"] == [
        {"callId": "tc1", "id": TOOL, "arguments": {"query": "test"}}
    ]
    assert (tool["role"], tool["tool_call_id"]) == ("tool", "tc1")
    assert json.loads(tool["content"]) == {"hits": 3}
    assert response["usage"]["total"] == 60
    assert house.fake.published == [
        (
            "audit",
            {
                "type": "tool_execution",
                "agentId": "default",
                "detail": {"tools": [TOOL], "iteration": 1},
            },
        )
    ]
    assert [p["iteration"] for p in map(_payload, house.hooks("RequestStart"))] == [0, 1]


def _payload(fired: Any) -> Any:
    return fired["payload"]


async def test_agent_core_case_4_a_function_that_was_not_offered() -> None:
    house = ChatHouse(asks(("c", "tool::shell_exec", {})), says("ok"))
    house.offer({**OPEN_GATES, "tool::file_read": "x", "tool::shell_exec": "no"})
    house.agent("default", capabilities={"functions": ["tool::file_read"]})
    response = await house.chat()
    assert response["iterations"] == 1
    assert "not in the allowed tool list" in house.tool_messages()[0]["content"]
    assert house.fake.of("tool::shell_exec") == []


@pytest.mark.parametrize(
    ("gate", "answer", "text"),
    [
        ("guard::check", {"decision": "block"}, "blocked by guard"),
        ("hook::fire", {"blocked": True, "blockReason": "Dangerous tool"}, "Dangerous tool"),
        (
            "approval::decide_tier",
            {"approved": False, "tier": "async", "status": "pending", "approvalId": "a1"},
            "tier: async, approvalId: a1",
        ),
    ],
)
async def test_agent_core_case_5_gates_that_refuse(gate: str, answer: Any, text: str) -> None:
    house = house_with_tool(SEARCH, says("ok"), **{gate: answer})
    response = await house.chat()
    assert response["iterations"] == 1
    assert house.fake.of(TOOL) == []
    assert text in house.tool_messages()[0]["content"]


async def test_agent_core_case_6_capability_denied_and_the_loop_goes_on() -> None:
    house = house_with_tool(
        SEARCH, says("ok"), **{"security::check_capability": BusError("no", code="forbidden")}
    )
    response = await house.chat()
    assert response["content"] == "ok"
    assert json.loads(house.tool_messages()[0]["content"]) == {"error": "capability denied"}


async def test_agent_core_case_7_the_cap_ends_with_a_call_without_functions() -> None:
    house = house_with_tool(SEARCH)
    response = await house.chat()
    assert response["iterations"] == 50
    assert response["truncated"] is True
    assert len(house.prompts) == 52
    assert house.prompts[-2]["functions"] != []
    assert house.prompts[-1]["functions"] == []


async def test_agent_core_case_8_the_default_session() -> None:
    house = ChatHouse()
    response = await house.chat(agent="agent-42")
    assert response["sessionId"] == "default:agent-42"
    assert {s["sessionId"] for s in house.fake.of("memory::store")} == {"default:agent-42"}


async def test_the_function_s_error_becomes_its_result() -> None:
    house = house_with_tool(SEARCH, says("ok"), **{TOOL: UpstreamError("engine on fire")})
    await house.chat()
    assert json.loads(house.tool_messages()[0]["content"]) == {"error": "engine on fire"}


async def test_malformed_calls_are_answered_and_end_after_three_rounds() -> None:
    house = house_with_tool(asks({"id": TOOL}, "nonsense"))
    response = await house.chat()
    assert response["error"]["code"] == "malformed_tool_calls"
    assert response["iterations"] == 3
    first, second = house.tool_messages()
    assert json.loads(first["content"]) == {"error": "malformed function call"}
    calls = house.prompts[1]["messages"][-3]["tool_calls"]
    assert [call["callId"] for call in calls] == [first["tool_call_id"], second["tool_call_id"]]


async def test_one_good_call_beside_a_malformed_one_counts() -> None:
    house = house_with_tool(asks(("a", TOOL, {}), {"callId": "b"}), says("done"))
    assert (await house.chat())["content"] == "done"
    assert [m["tool_call_id"] for m in house.tool_messages()] == ["a", "b"]


async def test_opaque_fields_of_a_call_travel_back() -> None:
    call = {"callId": "a", "id": TOOL, "arguments": {}, "providerData": {"sig": "x"}}
    house = house_with_tool(asks(call), says("done"))
    await house.chat()
    assert house.prompts[1]["messages"][-2]["tool_calls"] == [call]


async def test_content_that_is_no_text_is_empty() -> None:
    house = ChatHouse(says(None))
    assert (await house.chat())["content"] == ""
    assert [s["role"] for s in house.fake.of("memory::store")] == ["user"]


async def test_what_is_not_deployed_is_not_called() -> None:
    house = ChatHouse()
    house.without("hook::fire", "guard::reset", "memory::recall", "memory::store")
    assert (await house.chat())["content"] == "LLM response"
    called = {function_id for function_id, _ in house.fake.calls}
    assert called == {
        "engine::functions::list",
        "security::scan_injection",
        "llm::route",
        "llm::complete",
        "state::get",
        "state::update",
    }


async def test_code_mode_runs_blocks_and_asks_again() -> None:
    house = ChatHouse(says("code"), says("done"))
    house.agent("c", codeAgentMode=True)
    house.offer(
        {
            "agent::code_detect": {"hasCode": True, "blocks": ["1+1"]},
            "agent::code_execute": {"result": 2, "stdout": "out"},
        }
    )
    response = await house.chat(agent="c")
    assert (response["content"], response["iterations"]) == ("done", 0)
    assistant, user = house.prompts[1]["messages"][-2:]
    assert assistant["content"] == "code"
    assert "out" in user["content"]
    assert "Result: 2" in user["content"]


async def test_context_is_kept_healthy_every_tenth_round() -> None:
    answers = [SEARCH] * 10 + [says("done")]
    house = house_with_tool(*answers)
    house.offer(
        {
            "context::health": {"overall": 10},
            "context::compress": {"compressed": [{"role": "user", "content": "short"}]},
        }
    )
    await house.chat()
    (asked,) = house.fake.of("context::compress")
    assert asked["targetTokens"] == int(0.7 * 4096 * 50)
    assert [m["content"] for m in house.prompts[-1]["messages"]] == ["short"]


async def test_an_llm_that_fails_fails_the_turn_and_nothing_is_remembered() -> None:
    house = ChatHouse()
    house.offer({"llm::complete": UpstreamError("openai API error 500")})
    with pytest.raises(UpstreamError, match="500"):
        await house.chat()
    assert house.fake.of("memory::store") == []


async def test_costs_replay_and_metrics_are_told_when_somebody_listens() -> None:
    house = house_with_tool(SEARCH, says("ok"))
    house.offer({"cost::track": None, "replay::record": None, "metrics::record": None})
    await house.chat()
    assert len(house.fake.of("cost::track")) == 2
    assert [r["action"] for r in house.fake.of("replay::record")] == [
        "llm_call",
        "tool_call",
        "tool_result",
        "llm_call",
    ]
    names = {m["name"] for m in house.fake.of("metrics::record")}
    assert names == {
        "active_sessions",
        "tokens_used_total",
        "function_call_duration_ms",
        "tool_execution_total",
    }


async def test_the_iteration_cap_is_a_setting() -> None:
    house = ChatHouse(SEARCH, settings=Settings(max_iterations=2))
    house.offer({**OPEN_GATES, TOOL: 1})
    house.agent("default", capabilities={"functions": ["tool::"]})
    assert (await house.chat())["iterations"] == 2
