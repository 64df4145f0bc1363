"""Taint labels."""

from __future__ import annotations

from typing import Any

import pytest

from agentos.workers.security.taint import SINKS
from iii_sdk import Bus, InvalidInput


async def check(bus: Bus, labels: list[str], sink: str) -> Any:
    return await bus.call("taint::check", {"taints": {"labels": labels}, "sink": sink})


@pytest.mark.parametrize(
    ("labels", "blocked"),
    [
        (["Pii"], {"LogOutput"}),
        (["Secret"], set(SINKS)),
        (["UntrustedAgent"], {"FileWrite"}),
        ([], set()),
        (["ExternalNetwork", "UserInput"], set()),
    ],
)
async def test_security_case_9_sinks(bus: Bus, labels: list[str], blocked: set[str]) -> None:
    verdicts = {sink: await check(bus, labels, sink) for sink in SINKS}
    assert {sink for sink, verdict in verdicts.items() if not verdict["allowed"]} == blocked


async def test_security_case_9_labels(bus: Bus) -> None:
    answer = await bus.call("taint::label", {"value": 42, "labels": ["Secret", "bogus"]})
    assert answer == {"value": 42, "taints": {"labels": ["Secret"]}}
    verdict = await check(bus, ["UserInput", "Secret"], "NetworkSend")
    assert verdict == {"allowed": False, "sink": "NetworkSend", "blockingLabels": ["Secret"]}
    with pytest.raises(InvalidInput, match="Unknown sink: logoutput"):
        await check(bus, [], "logoutput")
    with pytest.raises(InvalidInput, match=r"\$\.taints\.labels"):
        await check(bus, ["bogus"], "LogOutput")


async def test_security_case_10_declassify(bus: Bus) -> None:
    answer = await bus.call(
        "taint::declassify",
        {"value": [1], "taints": {"labels": ["Secret", "Pii"]}, "remove": ["Pii"]},
    )
    assert answer == {"value": [1], "taints": {"labels": ["Secret"]}}
    (entry,) = [e for e in await bus.state.list("audit") if "prevHash" in e]
    assert (entry["type"], entry["detail"]) == ("taint_declassified", {"removedLabels": ["Pii"]})


async def test_freeing_a_secret_needs_a_reason(bus: Bus) -> None:
    request = {"taints": {"labels": ["Secret", "UserInput"]}, "remove": ["Secret"]}
    with pytest.raises(InvalidInput, match="reason"):
        await bus.call("taint::declassify", request)
    assert await bus.state.list("audit") == []
    answer = await bus.call("taint::declassify", {**request, "reason": "published"})
    assert answer["taints"]["labels"] == ["UserInput"]
    (entry,) = [e for e in await bus.state.list("audit") if "prevHash" in e]
    assert entry["detail"] == {"removedLabels": ["Secret"], "reason": "published"}
