"""`state::list` and its relatives: conformance cases 60 and 61."""

from __future__ import annotations

import pytest
from tests.support.desk import Desk

from iii_engine.core.turns import at_once
from iii_engine.modules import pieces
from iii_sdk.errors import BusError


def fill(desk: Desk, scope: str, *keys: str) -> None:
    for number, key in enumerate(keys):
        desk.ask("state::set", {"scope": scope, "key": key, "value": number})


def test_modules_case_60_list_keeps_the_order_of_insertion(desk: Desk) -> None:
    fill(desk, "s", "b", "a", "c")
    desk.ask("state::set", {"scope": "s", "key": "b", "value": 9})
    assert desk.ask("state::list", {"scope": "s"}) == [9, 1, 2]
    assert desk.ask("state::list", {"scope": "s", "include_keys": True}) == [
        {"key": "b", "value": 9},
        {"key": "a", "value": 1},
        {"key": "c", "value": 2},
    ]
    assert desk.ask("state::list", {"scope": "nowhere"}) == []


def test_modules_case_61_list_groups_is_sorted(desk: Desk) -> None:
    fill(desk, "z", "1", "2")
    fill(desk, "a", "1")
    assert desk.ask("state::list_groups", {}) == {"groups": ["a", "z"]}
    desk.ask("state::delete", {"scope": "a", "key": "1"})
    assert desk.ask("state::list_groups", {}) == {"groups": ["z"]}


def test_list_pages_by_prefix_limit_and_offset(desk: Desk) -> None:
    fill(desk, "s", "x1", "y1", "x2", "x3", "y2")
    page = {"scope": "s", "prefix": "x", "limit": 1, "offset": 1}
    assert desk.ask("state::list", page) == [2]
    assert desk.ask("state::list", {"scope": "s", "offset": 3}) == [3, 4]
    assert desk.ask("state::list", {"scope": "s", "limit": 0}) == []


def test_list_keys(desk: Desk) -> None:
    fill(desk, "s", "b", "a")
    assert desk.ask("state::list_keys", {"scope": "s"}) == {"keys": ["b", "a"]}
    assert desk.ask("state::list_keys", {"scope": "t"}) == {"keys": []}


def test_delete_scope_empties_one_scope(desk: Desk) -> None:
    fill(desk, "s", "a", "b")
    fill(desk, "t", "a")
    assert desk.ask("state::delete_scope", {"scope": "s"}) == {"deleted": 2}
    assert desk.ask("state::delete_scope", {"scope": "s"}) == {"deleted": 0}
    assert desk.ask("state::list_groups") == {"groups": ["t"]}


def test_of_a_list_that_nobody_could_take_no_more_is_read(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pieces, "MAX_LIST", 1000)
    parts = iter([b"x" * 99] * 100)
    with pytest.raises(BusError):
        at_once(pieces.array(parts))
    assert len(list(parts)) == 89
    for number in range(100):
        desk.ask("state::set", {"scope": "s", "key": str(number), "value": "x" * 98})
    for more in ({}, {"include_keys": True}):
        with pytest.raises(BusError, match="larger than 1000 bytes") as refused:
            desk.ask("state::list", {"scope": "s", **more})
        assert refused.value.code == "payload_too_large"
    assert len(desk.ask("state::list", {"scope": "s", "limit": 9})) == 9
