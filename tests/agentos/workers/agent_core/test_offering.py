"""Which functions an agent is offered."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.chat_house import ChatHouse

from agentos.workers.agent_core.models import AgentConfig, Capabilities, FunctionInfo
from agentos.workers.agent_core.offering import (
    TOOL_PROFILES,
    matches_profile,
    offered_functions,
)

FIVE = ["memory::recall", "memory::store", "tool::a", "tool::b", "tool::c"]
HOUSE = [
    "agent::chat",
    "agent::create",
    "engine::functions::list",
    "file::read",
    "llm::complete",
    "memory::recall",
    "publish",
    "state::get",
    "tool::file_read",
    "tool::web_search",
    "vault::get",
]


def offered(ids: list[str], functions: list[str] | None, **agent: Any) -> list[str]:
    capabilities = None if functions is None else Capabilities(functions=functions)
    config = AgentConfig(name="a", capabilities=capabilities, **agent)
    infos = [FunctionInfo(function_id=i) for i in ids]
    return [f.function_id for f in offered_functions(infos, config)]


def test_agent_core_case_10_prefixes() -> None:
    assert offered(FIVE, ["tool::"]) == ["tool::a", "tool::b", "tool::c"]
    assert offered(FIVE, []) == []
    assert offered(["file::read"], ["File::"]) == []
    assert offered(["file::read"], ["file::read_all"]) == []
    assert offered(["file::read", "web::x"], ["file::*"]) == ["file::read"]
    assert offered(["file::read"], ["", "  "]) == []


async def test_agent_core_case_10_over_the_bus() -> None:
    house = ChatHouse()
    house.fake.functions = dict.fromkeys(FIVE)
    house.agent("a", capabilities={"functions": ["tool::"]})
    for function_id in ("agent::list_functions",):
        rows = await house.run(function_id, {"agentId": "a"})
        assert [row["function_id"] for row in rows] == ["tool::a", "tool::b", "tool::c"]
        assert set(rows[0]) == {
            "function_id",
            "description",
            "request_format",
            "response_format",
            "metadata",
        }


def test_a_wildcard_offers_the_usual_tools_and_no_internals() -> None:
    assert offered(HOUSE, ["*"]) == [
        "file::read",
        "memory::recall",
        "tool::file_read",
        "tool::web_search",
    ]
    assert offered(HOUSE, None) == offered(HOUSE, ["*"])


def test_internals_need_their_full_id_and_some_are_never_offered() -> None:
    assert offered(HOUSE, ["llm::*", "agent::*", "pub*"]) == ["agent::chat"]
    assert offered(HOUSE, ["llm::complete", "agent::create", "publish"]) == [
        "agent::create",
        "llm::complete",
        "publish",
    ]
    assert offered(HOUSE, ["state::get", "vault::get"]) == []


def test_the_older_name_of_the_list() -> None:
    config = AgentConfig(name="a", capabilities=Capabilities(tools=["tool::a"]))
    infos = [FunctionInfo(function_id=i) for i in FIVE]
    assert [f.function_id for f in offered_functions(infos, config)] == ["tool::a"]


def test_an_agent_without_a_record_gets_the_chat_profile() -> None:
    infos = [FunctionInfo(function_id=i) for i in [*HOUSE, "memory::store", "memory::evict"]]
    assert [f.function_id for f in offered_functions(infos, None)] == [
        "memory::recall",
        "tool::web_search",
        "memory::store",
    ]


def test_profiles_narrow_the_list(monkeypatch: pytest.MonkeyPatch) -> None:
    assert offered(HOUSE, ["tool::", "file::"], tool_profile="code") == [
        "file::read",
        "tool::file_read",
    ]
    assert offered(HOUSE, ["file::"], tool_profile="full") == ["file::read"]
    assert offered(HOUSE, ["file::"], tool_profile="typo") == ["file::read"]
    monkeypatch.setenv("AGENTOS_STRICT_PROFILES", "1")
    assert offered(HOUSE, ["file::"], tool_profile="typo") == []


@pytest.mark.parametrize(
    ("function_id", "profile", "expected"),
    [
        ("fn::shell_exec", "ops", True),
        ("shell::exec", "ops", True),
        ("browser::open", "research", True),
        ("code::run", "code", True),
        ("tool::webXsearch", "research", False),
        ("a.tool::web_search", "chat", False),
    ],
)
def test_profiles_match_all_spellings(function_id: str, profile: str, expected: bool) -> None:
    assert matches_profile(function_id, TOOL_PROFILES[profile]) is expected
