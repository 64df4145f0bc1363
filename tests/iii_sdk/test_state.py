"""The state client against the real state module, kept in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec
import pytest
from tests.support.engine import RunningEngine

from iii_sdk import BusError, State, connect
from iii_sdk.state import append, decrement, increment, merge, remove, set_


class Realm(msgspec.Struct):
    name: str
    members: int = 0


@pytest.fixture
async def state() -> AsyncIterator[State]:
    running = RunningEngine()
    await running.start()
    async with connect(running.url) as bus:
        yield bus.state
    await running.stop()


async def test_values_are_written_read_and_removed(state):
    written = await state.set("realms", "a", Realm("acme"))
    assert (written.old_value, written.new_value) == (None, {"name": "acme", "members": 0})
    assert await state.get("realms", "a", Realm) == Realm("acme")
    assert await state.get("realms", "a") == {"name": "acme", "members": 0}
    assert await state.get("realms", "nobody", Realm) is None
    assert await state.delete("realms", "a") == {"name": "acme", "members": 0}
    assert await state.delete("realms", "a") is None


async def test_if_absent_writes_once(state):
    first = await state.set("s", "k", 1, if_absent=True)
    second = await state.set("s", "k", 2, if_absent=True)
    assert (first.set, second.set, second.new_value) == (True, False, 1)


async def test_a_scope_is_listed_with_and_without_keys(state):
    for key, count in (("b", 2), ("a", 1), ("ab", 3)):
        await state.set("realms", key, Realm(key, count))
    assert await state.list("realms", Realm) == [Realm("b", 2), Realm("a", 1), Realm("ab", 3)]
    assert await state.items("realms", Realm, prefix="a") == [
        ("a", Realm("a", 1)),
        ("ab", Realm("ab", 3)),
    ]
    assert await state.items("realms", limit=1, offset=1) == [("a", {"name": "a", "members": 1})]
    assert await state.keys("realms") == ["b", "a", "ab"]
    assert await state.list("empty") == []
    assert await state.groups() == ["realms"]


async def test_updates_are_operations(state):
    await state.set("s", "k", {"n": 1, "log": [], "gone": 1})
    updated = await state.update(
        "s",
        "k",
        [
            increment("n", 4),
            decrement("n"),
            append("log", "x"),
            merge({"y": 1}),
            merge({"z": 1}, "deep"),
            remove("gone"),
            set_("name", "new"),
        ],
    )
    assert updated.applied
    assert updated.new_value == {
        "n": 4,
        "log": ["x"],
        "y": 1,
        "deep": {"z": 1},
        "name": "new",
    }
    failed = await state.update("s", "k", [increment("name")])
    assert failed.errors[0].op_index == 0
    assert failed.errors[0].code


async def test_expectations_that_do_not_hold_change_nothing(state):
    await state.set("s", "k", {"n": 1})
    refused = await state.update("s", "k", [increment("n")], expect={"n": 2})
    assert not refused.applied
    assert refused.old_value == {"n": 1}
    assert (await state.update("s", "k", [increment("n")], expect={"n": 1})).applied
    assert not (await state.set("s", "k", {}, expect={"n": 1})).applied
    assert (await state.delete("s", "k", expect={"n": 1}))["applied"] is False
    assert await state.get("s", "k") == {"n": 2}


async def test_a_transaction_is_all_or_nothing(state):
    write = {"op": "set", "scope": "s", "key": "a", "value": 1}
    guard = {"op": "set", "scope": "s", "key": "b", "value": 1, "expect": {"n": 9}}
    refused = await state.transact([write, guard])
    assert (refused.applied, refused.failed_index) == (False, 1)
    assert await state.get("s", "a") is None
    assert (await state.transact([write])).applied
    assert await state.get("s", "a") == 1


async def test_a_value_of_another_shape_is_said_so(state):
    await state.set("s", "k", {"name": 1})
    with pytest.raises(BusError, match=r"state::get: \$\.name: expected str, got int"):
        await state.get("s", "k", Realm)
