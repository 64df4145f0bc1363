"""`state::update`: conformance cases 62 to 72 through the bus."""

from __future__ import annotations

from typing import Any

from tests.support.desk import Desk

R = {"scope": "s", "key": "k"}


def update(desk: Desk, *ops: object, **more: object) -> Any:
    return desk.ask("state::update", R | {"ops": ops} | more)


def codes(answer: dict[str, Any]) -> list[tuple[int, str]]:
    return [(error["op_index"], error["code"]) for error in answer["errors"]]


def put(desk: Desk, value: object) -> None:
    desk.ask("state::set", R | {"value": value})


def test_modules_case_62_update_creates_a_missing_record(desk: Desk) -> None:
    answer = update(desk, {"type": "increment", "path": "n", "by": 2})
    assert answer == {"old_value": None, "new_value": {"n": 2}}


def test_modules_case_63_the_root_can_be_a_number(desk: Desk) -> None:
    increment = {"type": "increment", "path": "", "by": 5}
    assert update(desk, increment)["new_value"] == 5
    assert update(desk, increment)["new_value"] == 10
    answer = update(desk, {"type": "set", "path": "x", "value": 1})
    assert codes(answer) == [(0, "set.target_not_object")]
    assert answer["new_value"] == 10
    assert desk.ask("state::get", R) == 10


def test_modules_case_64_other_operations_still_apply(desk: Desk) -> None:
    put(desk, {"a": "s"})
    answer = update(
        desk,
        {"type": "increment", "path": "a", "by": 1},
        {"type": "set", "path": "b", "value": 1},
    )
    assert answer["new_value"] == {"a": "s", "b": 1}
    assert codes(answer) == [(0, "increment.not_number")]
    assert set(answer["errors"][0]) == {"op_index", "code", "message"}


def test_modules_case_65_append_to_text(desk: Desk) -> None:
    assert update(desk, {"type": "append", "path": "log", "value": "x"})["new_value"] == {
        "log": "x"
    }
    assert update(desk, {"type": "append", "path": "log", "value": "y"})["new_value"] == {
        "log": "xy"
    }
    assert codes(update(desk, {"type": "append", "path": "log", "value": 1})) == [
        (0, "append.type_mismatch")
    ]


def test_modules_case_66_append_to_an_array(desk: Desk) -> None:
    append = {"type": "append", "path": "l", "value": {"a": 1}}
    assert update(desk, append)["new_value"] == {"l": [{"a": 1}]}
    assert update(desk, append)["new_value"] == {"l": [{"a": 1}, {"a": 1}]}


def test_modules_case_67_merge_walks_a_list_of_keys(desk: Desk) -> None:
    put(desk, {"a": None})
    answer = update(desk, {"type": "merge", "path": ["a", "b"], "value": {"c": 1}})
    assert answer["new_value"] == {"a": {"b": {"c": 1}}}
    answer = update(desk, {"type": "merge", "path": "a.b", "value": {"d": 1}})
    assert answer["new_value"] == {"a": {"b": {"c": 1}}, "a.b": {"d": 1}}


def test_modules_case_68_merge_refuses_what_is_dangerous(desk: Desk) -> None:
    deep: object = 1
    for _ in range(17):
        deep = {"x": deep}
    answer = update(
        desk,
        {"type": "merge", "value": {"__proto__": {}}},
        {"type": "merge", "path": ["x"] * 33, "value": {}},
        {"type": "merge", "value": deep},
        {"type": "merge", "value": [1]},
    )
    assert codes(answer) == [
        (0, "merge.value.proto_polluted"),
        (1, "merge.path.too_deep"),
        (2, "merge.value.too_deep"),
        (3, "merge.value.not_an_object"),
    ]
    assert answer["new_value"] is None
    assert desk.ask("state::list_groups") == {"groups": []}


def test_modules_case_69_remove(desk: Desk) -> None:
    put(desk, {"a": 1})
    assert update(desk, {"type": "remove", "path": "zz"}) == {
        "old_value": {"a": 1},
        "new_value": {"a": 1},
    }
    assert update(desk, {"type": "remove", "path": ""})["new_value"] is None


def test_modules_case_70_set_refuses_prototype_keys(desk: Desk) -> None:
    answer = update(desk, {"type": "set", "path": "constructor", "value": 1})
    assert codes(answer) == [(0, "set.path.proto_polluted")]


def test_modules_case_71_increments_add_up(desk: Desk) -> None:
    for _ in range(100):
        update(desk, {"type": "increment", "path": "n", "by": 1})
    assert desk.ask("state::get", R) == {"n": 100}


def test_modules_case_72_the_other_dialect(desk: Desk) -> None:
    answer: Any = desk.ask(
        "state::update", R | {"operations": [{"type": "increment", "path": "cost", "value": 0.5}]}
    )
    assert answer["new_value"] == {"cost": 0.5}
    merge = {"type": "merge", "path": "ids", "value": ["a"]}
    assert update(desk, merge)["new_value"] == {"cost": 0.5, "ids": ["a"]}
    assert update(desk, merge)["new_value"] == {"cost": 0.5, "ids": ["a", "a"]}


def test_an_unknown_operation_is_an_error_item(desk: Desk) -> None:
    assert codes(update(desk, {"type": "explode", "path": "x"})) == [(0, "op.unknown_type")]


def test_update_with_expect(desk: Desk) -> None:
    put(desk, {"v": 1})
    bump = {"type": "increment", "path": "v", "by": 1}
    assert update(desk, bump, expect={"v": 1}) == {
        "old_value": {"v": 1},
        "new_value": {"v": 2},
        "applied": True,
    }
    assert update(desk, bump, expect={"v": 1}) == {
        "old_value": {"v": 2},
        "new_value": {"v": 2},
        "applied": False,
    }


def test_nothing_is_written_when_every_operation_failed(desk: Desk) -> None:
    desk.handler("seen")
    desk.bind("t", "seen")
    assert update(desk, {"type": "increment", "path": "n", "by": "x"})["new_value"] is None
    assert update(desk) == {"old_value": None, "new_value": None}
    assert desk.ask("state::list_groups") == {"groups": []}
    assert desk.payloads("seen") == []


def test_text_that_only_a_tolerant_reader_accepts_survives_an_update(desk: Desk) -> None:
    desk.module.host.store.write(
        lambda t: t.put("state/s", "k", b'{"a":"\\ud800","n":1}'), lambda result, error: None
    )
    update(desk, {"type": "increment", "path": "n", "by": 1})
    assert desk.ask("state::get", R) == {"a": "\ud800", "n": 2}
