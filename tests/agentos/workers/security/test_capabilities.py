"""What the capability record covers, and the functions over it on a real engine."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.engine import RunningEngine
from tests.support.served import served

from agentos.kernel.clock import hour_key
from agentos.workers.security.capabilities import allows_function, allows_host, allows_memory
from agentos.workers.security.worker import create
from iii_sdk import Bus, Forbidden, InvalidInput

NOW = 1_700_000_000_000


@pytest.mark.parametrize(
    ("entries", "function_id", "allowed"),
    [
        (["*"], "anything", True),
        (["tool::file"], "tool::file_read", True),
        (["tool::shell_exec"], "tool::shell_exec_safe", True),
        (["file::read"], "file::write", False),
        (["file::*"], "file::write", True),
        (["", "  "], "file::write", False),
        (["file::read$"], "file::read", True),
        (["file::read$"], "file::read_all", False),
        (["**"], "file::read", False),
        ([], "file::read", False),
    ],
)
def test_functions(entries: list[str], function_id: str, allowed: bool) -> None:
    assert allows_function(entries, function_id) is allowed


@pytest.mark.parametrize(
    ("scopes", "scope", "allowed"),
    [
        (["self.*"], "a1", True),
        (["self.*"], "self.notes", True),
        (["self.*"], "a1.notes", True),
        (["self.*"], "a2.notes", False),
        (["shared.*"], "shared.team", True),
        (["*"], "a2", True),
        ([], "a1", False),
    ],
)
def test_memory_scopes(scopes: list[str], scope: str, allowed: bool) -> None:
    assert allows_memory(scopes, "a1", scope) is allowed


@pytest.mark.parametrize(
    ("hosts", "host", "allowed"),
    [
        (["api.example.com"], "API.example.com.", True),
        (["*.example.com"], "a.b.example.com", True),
        (["*.example.com"], "example.com", False),
        (["*.example.com"], "evilexample.com", False),
        (["*"], "anywhere", True),
        ([""], "", False),
    ],
)
def test_hosts(hosts: list[str], host: str, allowed: bool) -> None:
    assert allows_host(hosts, host) is allowed


async def audited(bus: Bus, kind: str) -> list[dict[str, Any]]:
    return [entry for entry in await bus.state.list("audit") if entry.get("type") == kind]


async def check(bus: Bus, agent_id: str, resource: str, **more: Any) -> Any:
    data = {"agentId": agent_id, "resource": resource, **more}
    return await bus.call("security::check_capability", data)


async def grant(bus: Bus, agent_id: str, **capabilities: Any) -> Any:
    data = {"agentId": agent_id, "capabilities": capabilities}
    return await bus.call("security::set_capabilities", data)


async def test_security_case_1_denied_without_record(bus: Bus) -> None:
    with pytest.raises(Forbidden, match="Agent nobody has no capabilities defined"):
        await check(bus, "nobody", "x::y", capability="x")
    (entry,) = await audited(bus, "capability_denied")
    assert entry["detail"] == {
        "capability": "x",
        "resource": "x::y",
        "reason": "no_capabilities_defined",
    }


async def test_security_case_1_allowed_and_denied(bus: Bus) -> None:
    await grant(bus, "all", tools=["*"])
    assert await check(bus, "all", "x::y") == {"allowed": True}
    await grant(bus, "some", tools=["tool::file"])
    assert await check(bus, "some", "tool::file_read") == {"allowed": True}
    await grant(bus, "reader", functions=["file::read"])
    with pytest.raises(Forbidden, match="Agent reader denied: file::write"):
        await check(bus, "reader", "file::write")
    (entry,) = await audited(bus, "capability_denied")
    assert entry["detail"]["reason"] == "tool_not_allowed"
    with pytest.raises(InvalidInput, match="agentId is required"):
        await check(bus, "", "x::y")
    with pytest.raises(InvalidInput, match="resource is required"):
        await check(bus, "reader", "")


async def test_security_case_2_quota(engine: RunningEngine) -> None:
    async with served(engine, create(clock=lambda: NOW)) as bus:
        key = hour_key("a1", NOW)
        assert key == "a1:2023-11-14T22"
        await grant(bus, "a1", tools=["*"], maxTokensPerHour=1000)
        assert await check(bus, "a1", "x") == {"allowed": True}  # no record
        await bus.state.set("metering_hourly", key, {"tokens": 1000})
        assert await check(bus, "a1", "x") == {"allowed": True}
        await bus.state.set("metering_hourly", key, {"tokens": 1001})
        with pytest.raises(Forbidden, match="Agent a1 exceeded token quota"):
            await check(bus, "a1", "x")
        (entry,) = await audited(bus, "quota_exceeded")
        assert entry["detail"] == {"used": 1001, "limit": 1000, "hourKey": key}
        await grant(bus, "a1", tools=["*"], maxTokensPerHour=0)
        assert await check(bus, "a1", "x") == {"allowed": True}
        await bus.state.set("capabilities", "a1", {"tools": ["*"], "max_tokens_per_hour": 5})
        with pytest.raises(Forbidden, match="quota"):
            await check(bus, "a1", "x")


async def test_security_case_3_stored_as_given_and_overwritten(bus: Bus) -> None:
    given = {
        "tools": ["a", "b", "c", "d"],
        "memoryScopes": ["self.*"],
        "networkHosts": [],
        "maxTokensPerHour": 0,
    }
    assert await grant(bus, "a1", **given) == {"updated": True}
    assert await bus.state.get("capabilities", "a1") == given
    (entry,) = await audited(bus, "capabilities_updated")
    assert (entry["agentId"], entry["detail"]) == ("a1", {"tools": 4})
    await grant(bus, "a1", tools=["e"])
    assert await bus.state.get("capabilities", "a1") == {"tools": ["e"]}


async def test_refused_capabilities_change_nothing(bus: Bus) -> None:
    for capabilities in ({"tools": [1]}, {"maxTokensPerHour": -1}, {"tools": "x"}):
        with pytest.raises(InvalidInput, match=r"\$\.capabilities\."):
            await grant(bus, "a1", **capabilities)
    assert await bus.state.get("capabilities", "a1") is None


async def test_memory_and_network_are_enforced(bus: Bus) -> None:
    await grant(bus, "a1", tools=["*"], memoryScopes=["self.*"], networkHosts=["*.example.com"])
    assert await check(bus, "a1", "self.notes", kind="memory") == {"allowed": True}
    assert await check(bus, "a1", "www.example.com", kind="network") == {"allowed": True}
    with pytest.raises(Forbidden):
        await check(bus, "a1", "a2.notes", kind="memory")
    with pytest.raises(Forbidden):
        await check(bus, "a1", "example.org", kind="network")
    reasons = {entry["detail"]["reason"] for entry in await audited(bus, "capability_denied")}
    assert reasons == {"memory_scope_not_allowed", "network_host_not_allowed"}


async def test_a_broken_record_denies(bus: Bus) -> None:
    await bus.state.set("capabilities", "a1", {"tools": 5})
    with pytest.raises(Forbidden, match="no capabilities defined"):
        await check(bus, "a1", "x")
