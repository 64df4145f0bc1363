"""The functions about traces."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.support.desk import Desk, running
from tests.support.waiting import until

from iii_engine.modules.observability import ObservabilityModule
from iii_engine.modules.observability.options import ObservabilityOptions
from iii_engine.modules.observability.spans import gathering
from iii_sdk.errors import BusError

PARENT = f"00-{'a' * 32}-{'b' * 16}-01"


def total(desk: Desk, **query: Any) -> int:
    found: int = desk.ask("engine::traces::list", query)["total"]
    return found


async def test_calls_are_listed_and_cleared(desk: Desk) -> None:
    desk.handler("inner")
    desk.handler("outer")
    desk.ask("outer", traceparent=PARENT)
    (row,) = desk.ask("engine::traces::list", {"trace_id": "a" * 32})["spans"]
    assert (row["name"], row["parent_span_id"]) == ("call outer", "b" * 16)
    found = desk.ask("engine::traces::tree", {"trace_id": "a" * 32})
    assert [root["name"] for root in found["roots"]] == ["call outer"]
    assert desk.ask("engine::traces::clear") == {"success": True}
    assert total(desk, include_internal=True) == 1  # the call that cleared them
    assert desk.ask("engine::traces::tree", {"trace_id": "nope"}) == {"roots": []}


async def test_modules_case_114_the_newest_spans_are_kept() -> None:
    async with running(ObservabilityModule, {"memory_max_spans": 10}) as desk:
        desk.handler("f")
        for _ in range(50):
            desk.ask("f")
        assert total(desk, limit=100) == 10
        assert desk.module.components()["spans"].details == {"stored_spans": 10}
        desk.ask("engine::traces::clear")
        assert total(desk) == 0


async def test_more_or_fewer_spans_from_now_on(desk: Desk) -> None:
    desk.handler("f")
    for _ in range(20):
        desk.ask("f")
    fewer = msgspec.convert({"memory_max_spans": 5}, ObservabilityOptions)
    assert await desk.module.reconfigure(fewer)
    assert total(desk) == 5


@pytest.mark.parametrize("name", ["list", "tree", "clear"])
async def test_without_spans_the_functions_say_so(name: str) -> None:
    async with running(ObservabilityModule, {"enabled": False}) as desk:
        with pytest.raises(BusError) as caught:
            desk.ask(f"engine::traces::{name}", {"trace_id": "t"})
        assert caught.value.code == "memory_exporter_not_enabled"
        assert desk.module.components()["spans"].status == "disabled"


async def test_the_rules_of_sampling() -> None:
    sampling = {"default": 0.5, "parent_based": False, "rules": [{"operation": "GET *", "rate": 0}]}
    async with running(ObservabilityModule, {"sampling": sampling}) as desk:
        answer = desk.ask("engine::sampling::rules")
        assert answer == {
            "traces": {
                "default_ratio": 0.5,
                "rules": [{"operation": "GET *", "service": None, "rate": 0.0}],
                "parent_based": True,  # with rules it always is
            },
            "logs": {"sampling_ratio": 1.0},
            "timestamp": desk.clock.now_ns() // 1_000_000,
        }


@pytest.mark.parametrize(
    ("options", "recorded"),
    [
        ({}, True),
        ({"sampling_ratio": 0}, False),
        ({"sampling": {"default": 0}}, False),
        ({"sampling": {"rate_limit": {"max_traces_per_second": 0}}}, False),
        ({"sampling": {"rules": [{"service": "shop", "rate": 0}]}, "service_name": "shop"}, False),
        ({"sampling": {"rules": [{"service": "shop", "rate": 0}]}}, True),
    ],
)
async def test_sampling_is_applied(options: dict[str, Any], recorded: bool) -> None:
    async with running(ObservabilityModule, options) as desk:
        desk.handler("f")
        desk.ask("f")
        assert len(desk.engine.spans) == recorded


@pytest.mark.parametrize(("parent_based", "recorded"), [(None, 0), (True, 0), (False, 1)])
async def test_callers_that_record_nothing(parent_based: bool | None, recorded: int) -> None:
    options = {"sampling": {"parent_based": parent_based}} if parent_based is not None else {}
    async with running(ObservabilityModule, options) as desk:
        desk.handler("f")
        desk.ask("f", traceparent=PARENT[:-1] + "0")
        assert len(desk.engine.spans) == recorded


async def test_many_spans_are_made_in_several_turns(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gathering, "RECORDS", 3)
    desk.handler("f")
    for _ in range(10):
        desk.ask("f")
    answers: list[bytes] = []
    desk.engine.call("engine::traces::list", b"{}", lambda result, _: answers.append(bytes(result)))
    assert answers == []
    await until(lambda: answers)
    assert b'"total":10' in answers[0]


@pytest.mark.parametrize("query", [{"limit": -1}, {"attributes": [1]}, {"sort_by": "size"}])
async def test_a_wrong_query_is_refused(desk: Desk, query: dict[str, Any]) -> None:
    with pytest.raises(BusError) as caught:
        desk.ask("engine::traces::list", query)
    assert caught.value.code == "deserialization_error"
