"""The registry of agents."""

from __future__ import annotations

import uuid

import pytest
from tests.support.chat_house import ChatHouse

from iii_sdk import BusError, Conflict, InvalidInput


def house() -> ChatHouse:
    made = ChatHouse()
    made.offer({"security::set_capabilities": {"updated": True}, "policy::set_rules": {}})
    return made


async def test_agent_core_case_11_create() -> None:
    made = house()
    created = await made.run("agent::create", {"id": "my-agent", "name": "My Agent", "own": 1})
    assert created == {"agentId": "my-agent"}
    record = made.fake.stored["agents", "my-agent"]
    assert record["createdAt"] > 1_700_000_000_000
    assert (record["name"], record["own"]) == ("My Agent", 1)
    assert made.fake.published == [("agent.lifecycle", {"type": "created", "agentId": "my-agent"})]
    assert made.fake.of("a2a::generate_card") == [{"agentId": "my-agent"}]


async def test_agent_core_case_11_create_without_id() -> None:
    created = await house().run("agent::create", {"name": "x"})
    assert uuid.UUID(created["agentId"]).version == 4
    assert created["agentId"].count("-") == 4


async def test_create_grants_capabilities() -> None:
    made = house()
    capabilities = {"functions": ["tool::*"], "memoryScopes": ["self.*"], "networkHosts": ["*"]}
    await made.run(
        "agent::create",
        {
            "id": "a",
            "name": "a",
            "capabilities": capabilities,
            "resources": {"maxTokensPerHour": 5},
        },
    )
    assert made.fake.of("security::set_capabilities") == [
        {
            "agentId": "a",
            "capabilities": {
                "tools": ["tool::*"],
                "memoryScopes": ["self.*"],
                "networkHosts": ["*"],
                "maxTokensPerHour": 5,
            },
        }
    ]


@pytest.mark.parametrize(
    ("functions", "patterns"),
    [
        (["math::add", "tool::*", "x::"], ["math::add*", "tool::*", "x::*"]),
        (["*", " "], []),
        (None, []),
    ],
)
async def test_create_lets_the_policy_know_what_the_record_names(
    functions: list[str] | None, patterns: list[str]
) -> None:
    made = house()
    await made.run("agent::create", {"name": "a", "capabilities": {"functions": functions}})
    rules = [r for asked in made.fake.of("policy::set_rules") for r in asked["policy"]["rules"]]
    assert [rule["pattern"] for rule in rules] == patterns
    assert {rule["action"] for rule in rules} <= {"Allow"}


async def test_create_refuses_a_taken_id_unless_told_to_overwrite() -> None:
    made = house()
    await made.run("agent::create", {"id": "a", "name": "first"})
    with pytest.raises(Conflict, match="Agent already exists: a"):
        await made.run("agent::create", {"id": "a", "name": "second"})
    assert made.fake.stored["agents", "a"]["name"] == "first"
    await made.run("agent::create", {"id": "a", "name": "third", "overwrite": True})
    assert made.fake.stored["agents", "a"]["name"] == "third"
    assert "overwrite" not in made.fake.stored["agents", "a"]


@pytest.mark.parametrize(
    ("config", "text"),
    [
        ({}, r"\$\.name: missing"),
        ({"name": "  "}, r"\$\.name"),
        ({"name": 5}, r"\$\.name: expected str"),
        ({"name": "x", "id": "a/b"}, "Invalid ID format: a/b"),
        ({"name": "x", "resources": {"dailyBudget": "much"}}, r"\$\.resources\.dailyBudget"),
    ],
)
async def test_create_refuses_bad_input_and_changes_nothing(
    config: dict[str, object], text: str
) -> None:
    made = house()
    with pytest.raises(InvalidInput, match=text):
        await made.run("agent::create", config)
    assert made.fake.stored == {}


async def test_a_failed_grant_takes_the_record_back() -> None:
    made = house()
    made.offer({"security::set_capabilities": BusError("broken")})
    with pytest.raises(BusError):
        await made.run("agent::create", {"id": "a", "name": "a"})
    assert made.fake.stored == {}


@pytest.mark.parametrize("existing", [True, False])
async def test_a_failed_grant_restores_the_rights_that_were_replaced(existing: bool) -> None:
    made = house()
    if existing:
        made.agent("a")
    made.fake.stored["capabilities", "a"] = {"tools": ["tool::old"]}
    before = dict(made.fake.stored)

    def replace(payload: dict[str, object]) -> dict[str, object]:
        made.fake.stored["capabilities", "a"] = payload["capabilities"]
        return {}

    made.offer({"security::set_capabilities": replace, "policy::set_rules": BusError("broken")})
    request = {"id": "a", "name": "a", "overwrite": True, "capabilities": {"functions": ["x::y"]}}
    with pytest.raises(BusError, match="broken"):
        await made.run("agent::create", request)
    assert made.fake.stored == before


async def test_a_stored_record_that_cannot_be_read_is_named() -> None:
    made = house()
    made.fake.stored["agents", "a"] = {"id": "a", "name": 5}
    with pytest.raises(BusError, match=r"stored record of agent a .*\$\.name") as caught:
        await made.run("agent::list_functions", {"agentId": "a"})
    assert not isinstance(caught.value, InvalidInput)


async def test_agent_core_case_12_delete() -> None:
    made = house()
    with pytest.raises(InvalidInput, match="missing or empty agentId"):
        await made.run("agent::delete", {"agentId": ""})
    made.agent("to-delete")
    for scope in ("capabilities", "policies", "metering"):
        made.fake.stored[scope, "to-delete"] = {}
    assert await made.run("agent::delete", {"agentId": "to-delete"}) == {"deleted": True}
    assert made.fake.stored == {}
    assert await made.run("agent::delete", {"agentId": "to-delete"}) == {"deleted": True}
    assert made.fake.published[0] == (
        "agent.lifecycle",
        {"type": "deleted", "agentId": "to-delete"},
    )
    assert made.fake.of("context_cache::invalidate") == [{"agentId": "to-delete"}] * 2


async def test_agent_core_case_15_list_by_division() -> None:
    made = house()
    made.agent("d", persona={"division": "design"})
    made.agent("e", persona={"division": "engineering"})
    made.agent("n")
    listed = await made.run("agent::list_by_division", {"division": "design"})
    assert [agent["id"] for agent in listed] == ["d"]
    assert len(await made.run("agent::list_by_division", {})) == 3
    assert len(await made.run("agent::list")) == 3
    with pytest.raises(InvalidInput):
        await made.run("agent::list_by_division", {"division": "unheard-of"})


@pytest.mark.parametrize("field", ["apiKey", "api_key", "baseUrl", "baseURL", "base-url"])
async def test_keys_and_addresses_are_refused_by_name_and_not_stored(field: str) -> None:
    made = house()
    model = {"provider": "openai", "model": "gpt-4o", field: "sk-secret"}
    with pytest.raises(InvalidInput, match=rf"^invalid_input: \$\.model\.{field}: ") as refused:
        await made.run("agent::create", {"id": "a", "name": "a", "model": model})
    assert "sk-secret" not in str(refused.value)
    assert made.fake.stored == {}
    assert made.fake.of("security::set_capabilities") == []
