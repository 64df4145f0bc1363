"""`state::set`, `get`, `delete`: conformance cases 57 to 59, and their extensions."""

from __future__ import annotations

import pytest
from tests.support.desk import Desk

from iii_engine.storage.memory import Maps
from iii_sdk.errors import BusError

R = {"scope": "s", "key": "k"}


def test_modules_case_57_set_answers_old_and_new(desk: Desk) -> None:
    assert desk.ask("state::set", R | {"value": 1}) == {"old_value": None, "new_value": 1}
    assert desk.ask("state::set", R | {"value": 2}) == {"old_value": 1, "new_value": 2}


def test_modules_case_58_missing_records_are_null(desk: Desk) -> None:
    desk.handler("seen")
    desk.bind("t", "seen")
    assert desk.ask("state::get", R) is None
    assert desk.ask("state::delete", R) is None
    assert desk.payloads("seen") == []
    desk.ask("state::set", R | {"value": {"n": 1}})
    assert desk.ask("state::get", R) == {"n": 1}
    assert desk.ask("state::delete", R) == {"n": 1}
    assert desk.ask("state::get", R) is None
    assert len(desk.payloads("seen")) == 2


def test_modules_case_59_data_is_another_name_of_value(desk: Desk) -> None:
    assert desk.ask("state::set", R | {"data": 1}) == {"old_value": None, "new_value": 1}
    assert desk.ask("state::get", R) == 1


def test_null_is_a_value(desk: Desk) -> None:
    desk.ask("state::set", R | {"value": None})
    assert desk.ask("state::list_keys", {"scope": "s"}) == {"keys": ["k"]}
    assert desk.ask("state::get", R) is None


@pytest.mark.parametrize(
    ("function_id", "payload", "field"),
    [
        ("state::set", R, "value"),
        ("state::set", {"scope": "s", "value": 1}, "key"),
        ("state::set", {"scope": 1, "key": "k", "value": 1}, "$.scope"),
        ("state::set", R | {"value": 1, "expect": 3}, "$.expect"),
        ("state::get", {"scope": "s"}, "key"),
        ("state::get", None, "scope"),
        ("state::delete", {"key": "k"}, "scope"),
        ("state::update", R, "ops"),
        ("state::update", R | {"ops": [{"path": "n"}]}, "$.ops[0]"),
        ("state::list", {}, "scope"),
        ("state::list", {"scope": "s", "limit": -1}, "$.limit"),
        ("state::delete_scope", {}, "scope"),
        ("state::transact", {}, "ops"),
    ],
)
def test_modules_case_20_bad_input_is_refused_by_the_name_of_the_field(
    desk: Desk, function_id: str, payload: object, field: str
) -> None:
    with pytest.raises(BusError) as caught:
        desk.ask(function_id, payload)
    assert caught.value.code == "deserialization_error"
    assert caught.value.message.startswith(f"Failed to deserialize input for {function_id}: ")
    assert field in caught.value.message
    assert desk.ask("state::list_groups") == {"groups": []}


def test_unknown_fields_are_ignored(desk: Desk) -> None:
    desk.ask("state::set", R | {"value": 1, "_caller_worker_id": "w", "more": [1]})
    assert desk.ask("state::get", R | {"more": 1}) == 1


def test_set_with_expect_changes_only_what_is_as_expected(desk: Desk) -> None:
    desk.ask("state::set", R | {"value": {"version": 1, "by": "a"}})
    refused = desk.ask("state::set", R | {"value": 5, "expect": {"version": 2}})
    assert refused == {
        "old_value": {"version": 1, "by": "a"},
        "new_value": {"version": 1, "by": "a"},
        "applied": False,
    }
    done = desk.ask("state::set", R | {"value": 5, "expect": {"version": 1.0, "gone": None}})
    assert done == {"old_value": {"version": 1, "by": "a"}, "new_value": 5, "applied": True}


def test_expect_on_a_missing_record_sees_nulls(desk: Desk) -> None:
    assert desk.ask("state::set", R | {"value": 1, "expect": {"n": 1}}) == {
        "old_value": None,
        "new_value": None,
        "applied": False,
    }
    done = desk.ask("state::set", R | {"value": {"n": True}, "expect": {"n": None}})
    assert done == {"old_value": None, "new_value": {"n": True}, "applied": True}
    one = desk.ask("state::set", R | {"value": 1, "expect": {"n": 1}})
    assert isinstance(one, dict)
    assert one["applied"] is False


def test_empty_expect_always_applies(desk: Desk) -> None:
    assert desk.ask("state::set", R | {"value": 1, "expect": {}}) == {
        "old_value": None,
        "new_value": 1,
        "applied": True,
    }


def test_delete_with_expect(desk: Desk) -> None:
    desk.ask("state::set", R | {"value": {"v": 1}})
    refused = desk.ask("state::delete", R | {"expect": {"v": 2}})
    assert refused == {"old_value": {"v": 1}, "new_value": {"v": 1}, "applied": False}
    done = desk.ask("state::delete", R | {"expect": {"v": 1}})
    assert done == {"old_value": {"v": 1}, "new_value": None, "applied": True}
    assert desk.ask("state::get", R) is None


def test_set_if_absent_keeps_what_is_there(desk: Desk) -> None:
    first = desk.ask("state::set", R | {"value": 1, "if_absent": True})
    assert first == {"old_value": None, "new_value": 1, "set": True}
    second = desk.ask("state::set", R | {"value": 2, "if_absent": True})
    assert second == {"old_value": 1, "new_value": 1, "set": False}
    assert desk.ask("state::get", R) == 1


def test_values_come_back_as_they_were_written(desk: Desk) -> None:
    value = {"ü": ["😀", 1.5, 12345678901234567890, {"a": None}], "": ""}
    desk.ask("state::set", {"scope": "ä/b", "key": "", "value": value})
    assert desk.ask("state::get", {"scope": "ä/b", "key": ""}) == value


@pytest.mark.parametrize(
    ("function_id", "code"), [("state::set", "SET_ERROR"), ("state::get", "GET_ERROR")]
)
async def test_what_nobody_expected_is_answered_and_stays_in_the_log(
    desk: Desk,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    function_id: str,
    code: str,
) -> None:
    def broken(*_: object) -> bytes:
        raise RuntimeError("secret")

    monkeypatch.setattr(Maps, "get", broken)
    with pytest.raises(BusError) as caught:
        desk.ask(function_id, R | {"value": 1})
    assert (caught.value.code, caught.value.message) == (code, "internal server error")
    assert "RuntimeError: secret" in caplog.text


async def test_a_failing_store_is_answered_with_the_code_of_the_function(desk: Desk) -> None:
    await desk.module.host.store.close()
    for function_id, payload, code in (
        ("state::set", R | {"value": 1}, "SET_ERROR"),
        ("state::get", R, "GET_ERROR"),
        ("state::delete", R, "DELETE_ERROR"),
        ("state::update", R | {"ops": []}, "UPDATE_ERROR"),
        ("state::list", {"scope": "s"}, "LIST_ERROR"),
        ("state::list_groups", {}, "LIST_GROUPS_ERROR"),
        ("state::transact", {"ops": []}, "TRANSACT_ERROR"),
    ):
        with pytest.raises(BusError, match="closed") as caught:
            desk.ask(function_id, payload)
        assert caught.value.code == code
