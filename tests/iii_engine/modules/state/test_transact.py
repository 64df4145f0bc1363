"""`state::transact`: all or nothing."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.desk import Desk

from iii_sdk.errors import BusError


def transact(desk: Desk, *ops: dict[str, object]) -> Any:
    return desk.ask("state::transact", {"ops": ops})


def entry(op: str, key: str, **more: object) -> dict[str, object]:
    return {"op": op, "scope": "s", "key": key, **more}


def test_entries_see_those_before_them(desk: Desk) -> None:
    desk.ask("state::set", {"scope": "s", "key": "old", "value": 1})
    answer = transact(
        desk,
        entry("set", "a", value={"n": 1}),
        entry("update", "a", ops=[{"type": "increment", "path": "n", "by": 1}], expect={"n": 1}),
        entry("delete", "old"),
        entry("delete", "none", expect={}),
    )
    assert answer == {
        "applied": True,
        "results": [
            {"old_value": None, "new_value": {"n": 1}},
            {"old_value": {"n": 1}, "new_value": {"n": 2}, "applied": True},
            1,
            {"old_value": None, "new_value": None, "applied": True},
        ],
    }
    assert desk.ask("state::list", {"scope": "s", "include_keys": True}) == [
        {"key": "a", "value": {"n": 2}}
    ]


def test_one_unmet_condition_undoes_all(desk: Desk) -> None:
    desk.handler("seen")
    desk.bind("t", "seen")
    answer = transact(desk, entry("set", "a", value=1), entry("set", "b", value=2, expect={"x": 1}))
    assert answer == {"applied": False, "results": [], "failed_index": 1}
    assert desk.ask("state::list_groups") == {"groups": []}
    assert desk.payloads("seen") == []


def test_if_absent_is_a_condition(desk: Desk) -> None:
    assert transact(desk, entry("set", "a", value=1, if_absent=True))["applied"] is True
    assert transact(desk, entry("set", "a", value=2, if_absent=True))["failed_index"] == 0


def test_every_change_is_told_to_triggers(desk: Desk) -> None:
    desk.handler("seen")
    desk.bind("t", "seen", {"scope": "s"})
    transact(desk, entry("set", "a", value=1), entry("set", "b", value=2), entry("delete", "a"))
    assert [(p["key"], p["event_type"]) for p in desk.payloads("seen")] == [
        ("a", "state:created"),
        ("b", "state:created"),
        ("a", "state:deleted"),
    ]


@pytest.mark.parametrize(
    "ops",
    [
        [entry("set", str(n), value=n) for n in range(129)],
        [entry("set", "a", value=1), entry("set", "b")],
        [entry("set", "a", value=1), entry("explode", "b")],
    ],
    ids=["too many", "no value", "unknown op"],
)
def test_bad_entries_refuse_all(desk: Desk, ops: list[dict[str, object]]) -> None:
    with pytest.raises(BusError) as caught:
        transact(desk, *ops)
    assert caught.value.code == "deserialization_error"
    assert desk.ask("state::list_groups") == {"groups": []}


def test_128_entries_fit(desk: Desk) -> None:
    answer = transact(desk, *(entry("set", str(n), value=n) for n in range(128)))
    assert len(answer["results"]) == 128
