"""The audit chain on a real engine."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.support.engine import RunningEngine
from tests.support.served import served

from agentos.workers.security import audit as audit_module
from agentos.workers.security.worker import create
from iii_sdk import Bus, BusError, InvalidInput, NotConfigured, Unavailable


async def record(bus: Bus, kind: str = "test", **more: Any) -> Any:
    return await bus.call("security::audit", {"type": kind, **more})


async def verify(bus: Bus) -> Any:
    return await bus.call("security::verify_audit", {})


async def test_security_case_4_entries_are_linked(bus: Bus) -> None:
    first = await record(bus)
    second = await record(bus, agentId="a1", detail={"n": 1.5, "deep": {"ü": [None]}})
    assert len(first["hash"]) == 64
    one = await bus.state.get("audit", first["id"])
    two = await bus.state.get("audit", second["id"])
    assert (one["prevHash"], one["detail"], one["agentId"]) == ("0" * 64, {}, None)
    assert (two["prevHash"], two["seq"]) == (first["hash"], 2)
    latest = await bus.state.get("audit", "__latest")
    assert (latest["hash"], latest["id"]) == (second["hash"], second["id"])
    with pytest.raises(InvalidInput, match="type is required"):
        await bus.call("security::audit", {})


async def test_security_case_6_verify(bus: Bus) -> None:
    assert await verify(bus) == {"valid": True, "entries": 0, "violations": []}
    ids = [(await record(bus, detail={"i": i}))["id"] for i in range(20)]
    assert await verify(bus) == {"valid": True, "entries": 20, "violations": []}
    whole = await bus.state.get("audit", ids[5])
    await bus.state.set("audit", ids[5], {**whole, "detail": {"i": 99}})
    assert (await verify(bus))["violations"] == [f"Tampered entry {ids[5]}: hash mismatch"]
    await bus.state.set("audit", ids[5], {**whole, "prevHash": "0" * 64})
    assert "Chain break" in (await verify(bus))["violations"][0]
    await bus.state.set("audit", ids[5], whole)
    await bus.state.delete("audit", ids[19])
    assert await verify(bus) == {
        "valid": False,
        "entries": 19,
        "violations": ["Truncated chain: head mismatch"],
    }


async def test_security_case_6_concurrent_appends(bus: Bus) -> None:
    await asyncio.gather(*(record(bus) for _ in range(100)))
    assert await verify(bus) == {"valid": True, "entries": 100, "violations": []}


async def test_two_instances_share_one_chain(engine: RunningEngine) -> None:
    one, two = create(), create()
    async with served(engine, one) as bus:
        await asyncio.gather(*(record(bus) for _ in range(5)))
        async with served(engine, two):  # takes the functions over
            both = [audit_module.Audit(), audit_module.Audit()]
            event = audit_module.AuditEvent("t")
            await asyncio.gather(*(both[i % 2].record(event, bus) for i in range(20)))
            await record(bus)
            assert await verify(bus) == {"valid": True, "entries": 26, "violations": []}


async def test_pages(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_module, "PAGE", 7)
    for _ in range(20):
        await record(bus)
    assert (await verify(bus))["entries"] == 20


async def test_entries_appended_while_verifying_are_no_violation(bus: Bus) -> None:
    verdicts, _ = await asyncio.gather(
        asyncio.gather(*(verify(bus) for _ in range(5))),
        asyncio.gather(*(record(bus) for _ in range(50))),
    )
    assert all(verdict["valid"] for verdict in verdicts)


async def test_an_entry_too_big_does_not_take_others_along(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("iii_sdk.connection.MAX_MESSAGE", 20_000)
    audit = audit_module.Audit()
    huge = audit_module.AuditEvent("huge", detail={"text": "x" * 20_000})
    small = audit_module.AuditEvent("small")
    results = await asyncio.gather(
        *(audit.record(event, bus) for event in (small, huge, small)), return_exceptions=True
    )
    kinds = [type(result).__name__ for result in results]
    assert kinds == ["Recorded", "TooLarge", "Recorded"]
    assert await verify(bus) == {"valid": True, "entries": 2, "violations": []}


async def test_every_entry_is_answered_when_the_key_cannot_be_read(
    bus: Bus, caplog: pytest.LogCaptureFixture
) -> None:
    readable = False

    def key() -> bytes:
        if not readable:
            raise OSError("no disk")
        return b"k" * 32

    audit = audit_module.Audit(key)
    event = audit_module.AuditEvent("t")
    calls = [audit.record(event, bus) for _ in range(150)]
    results = await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), 5)
    assert {type(result) for result in results} == {Unavailable}
    assert "no disk" in caplog.text
    readable = True
    assert (await audit.record(event, bus)).id


async def test_an_unreadable_head_is_an_answer(bus: Bus) -> None:
    await bus.state.set("audit", "__latest", {"hash": 1})
    with pytest.raises(BusError):
        await asyncio.wait_for(record(bus), 5)
    await bus.state.delete("audit", "__latest")
    await record(bus)


async def test_a_caller_that_has_gone_does_not_stop_the_chain(bus: Bus) -> None:
    audit = audit_module.Audit()
    event = audit_module.AuditEvent("t")
    tasks = [asyncio.create_task(audit.record(event, bus)) for _ in range(3)]
    await asyncio.sleep(0)
    tasks[0].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert await verify(bus) == {"valid": True, "entries": 3, "violations": []}


async def test_without_a_key_nothing_waits_for_ever(bus: Bus) -> None:
    def no_key() -> bytes:
        raise NotConfigured("no key")

    audit = audit_module.Audit(key=no_key)
    with pytest.raises(NotConfigured):
        await audit.record(audit_module.AuditEvent("t"), bus)
    await audit.note(bus, "t", None, {})  # only logged
    assert await bus.state.list("audit") == []
