"""Update operations, one table of engine-modules 6.2 at a time."""

from __future__ import annotations

import copy
import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iii_engine.core.updates import MISSING, Missing, Op, Outcome, apply


def run(value: Any, *ops: dict[str, object]) -> Outcome:
    return apply(copy.deepcopy(value), msgspec.convert(ops, list[Op]))


def after(value: Any, *ops: dict[str, object]) -> Any:
    """The value when every operation succeeds."""
    outcome = run(value, *ops)
    assert outcome.errors == []
    assert outcome.changed == bool(ops)
    return outcome.value


def refusal(value: Any, op: dict[str, object]) -> str:
    """The code of the operation's error; the value stays."""
    before = msgspec.json.encode(None if value is MISSING else value)
    outcome = run(value, op)
    assert not outcome.changed
    assert msgspec.json.encode(None if outcome.value is MISSING else outcome.value) == before
    assert (outcome.value is MISSING) == (value is MISSING)
    (error,) = outcome.errors
    assert error.message
    return error.code


def op(kind: str, path: object = None, **more: object) -> dict[str, object]:
    return {"type": kind, **({} if path is None else {"path": path}), **more}


@pytest.mark.parametrize("path", ["", None])
@pytest.mark.parametrize("current", [MISSING, None, 1, {"a": 1}])
def test_set_replaces_the_root(current: object, path: str | None) -> None:
    assert after(current, op("set", path, value=[1])) == [1]
    assert after(current, op("set", path)) is None


def test_set_a_field() -> None:
    assert after(MISSING, op("set", "a", value=1)) == {"a": 1}
    assert after({"b": 1}, op("set", "a.b", value={})) == {"b": 1, "a.b": {}}
    for current in (None, 1, "s", [], True):
        assert refusal(current, op("set", "a", value=1)) == "set.target_not_object"


@pytest.mark.parametrize(("kind", "sign"), [("increment", 1), ("decrement", -1)])
def test_sums(kind: str, sign: int) -> None:
    assert after(MISSING, op(kind, "", by=2)) == 2 * sign
    assert after(MISSING, op(kind, "n", by=2)) == {"n": 2 * sign}
    assert after(10, op(kind, "", by=2)) == 10 + 2 * sign
    assert after({"n": 1}, op(kind, "n", by=0.5)) == {"n": 1 + 0.5 * sign}
    assert after({"n": 1}, op(kind, "n", value=2)) == {"n": 1 + 2 * sign}
    assert after({"n": 1}, op(kind, "n", by=None)) == {"n": 1}
    assert after({"n": 1}, op(kind, "n", value=None)) == {"n": 1}
    for current in (None, "s", [], {}, True):
        assert refusal(current, op(kind, "", by=1)) == f"{kind}.not_number"
        assert refusal({"n": current}, op(kind, "n", by=1)) == f"{kind}.not_number"
    for current in (None, 1, "s"):
        assert refusal(current, op(kind, "n", by=1)) == f"{kind}.target_not_object"
    assert refusal({"n": 1}, op(kind, "n", by="1")) == f"{kind}.by.not_number"
    assert refusal({"n": 1}, op(kind, "n", by=True)) == f"{kind}.by.not_number"
    assert refusal({"n": 1}, op(kind, "n")) == f"{kind}.by.missing"


def test_integers_stay_integers_within_64_bits() -> None:
    largest, smallest = 2**63 - 1, -(2**63)
    assert after(largest - 1, op("increment", "", by=1)) == largest
    assert refusal(largest, op("increment", "", by=1)) == "increment.not_number"
    assert refusal(smallest, op("decrement", "", by=1)) == "decrement.not_number"
    assert refusal(2**64, op("increment", "", by=1)) == "increment.not_number"
    assert refusal(math.inf, op("increment", "", by=1)) == "increment.not_number"
    assert refusal(1e308, op("increment", "", by=1e308)) == "increment.not_number"
    assert isinstance(after(1, op("increment", "", by=1)), int)


@pytest.mark.parametrize("there", [False, True])
def test_append_starts_with_what_is_missing_or_null(there: bool) -> None:
    current = None if there else MISSING
    field = {"l": None} if there else MISSING
    assert after(current, op("append", "", value="x")) == "x"
    assert after(current, op("append", "", value=1)) == [1]
    assert after(field, op("append", "l", value="x")) == {"l": "x"}
    assert after(field, op("append", "l", value=[1])) == {"l": [[1]]}


def test_append_to_what_is_there() -> None:
    assert after([1], op("append", "", value="x")) == [1, "x"]
    assert after("a", op("append", "", value="b")) == "ab"
    assert after({"l": [1]}, op("append", "l")) == {"l": [1, None]}
    for current in ("s", 1, {}, False):
        assert refusal({"l": current}, op("append", "l", value=1)) == "append.type_mismatch"
        assert refusal(current, op("append", "", value=1)) == "append.type_mismatch"
    assert refusal(1, op("append", "l", value=1)) == "append.target_not_object"


def test_remove() -> None:
    assert after({"a": 1, "b": 2}, op("remove", "a")) == {"b": 2}
    assert after({"b": 2}, op("remove", "a")) == {"b": 2}
    assert after({"b": 2}, op("remove", "")) is None
    assert refusal([1], op("remove", "a")) == "remove.target_not_object"


@pytest.mark.parametrize("path", [None, "", []])
def test_merge_into_the_root(path: object) -> None:
    assert after(MISSING, op("merge", path, value={"a": 1})) == {"a": 1}
    assert after({"a": {"x": 1}, "b": 2}, op("merge", path, value={"a": {"y": 1}})) == {
        "a": {"y": 1},
        "b": 2,
    }
    for current in (None, 1, [], "s"):
        assert refusal(current, op("merge", path, value={})) == "merge.target_not_object"
    assert refusal({}, op("merge", path, value=[1])) == "merge.value.not_an_object"


def test_merge_walks_and_creates_objects() -> None:
    assert after(MISSING, op("merge", ["a", "b"], value={"c": 1})) == {"a": {"b": {"c": 1}}}
    assert after({"a": {"b": {"x": 1}, "y": 2}}, op("merge", ["a", "b"], value={"c": 1})) == {
        "a": {"b": {"x": 1, "c": 1}, "y": 2}
    }
    assert after({"a": 5}, op("merge", ["a", "b"], value={"c": 1})) == {"a": {"b": {"c": 1}}}
    assert after(5, op("merge", "a", value={"c": 1})) == {"a": {"c": 1}}
    assert after({}, op("merge", "a.b", value={"c": 1})) == {"a.b": {"c": 1}}


def test_merge_of_an_array_extends_an_array() -> None:
    assert after(MISSING, op("merge", "l", value=[1])) == {"l": [1]}
    assert after({"l": None}, op("merge", "l", value=[1])) == {"l": [1]}
    assert after({"l": [1]}, op("merge", ["l"], value=[2, 3])) == {"l": [1, 2, 3]}
    assert after({"a": {"l": [1]}}, op("merge", ["a", "l"], value=[2])) == {"a": {"l": [1, 2]}}
    assert after({"a": 1}, op("merge", ["a", "l"], value=[2])) == {"a": {"l": [2]}}
    assert after(7, op("merge", "l", value=[2])) == {"l": [2]}
    for current in ("", 0, {}, False):
        assert refusal({"l": current}, op("merge", "l", value=[1])) == "append.type_mismatch"


def nested(depth: int) -> object:
    value: object = 1
    for level in range(depth):
        value = {"x": value} if level % 2 else [value]
    return value


@pytest.mark.parametrize("kind", ["set", "increment", "decrement", "append", "remove", "merge"])
def test_paths_that_are_refused(kind: str) -> None:
    more: dict[str, object] = {"value": {}, "by": 1}
    for key in ("__proto__", "constructor", "prototype"):
        assert refusal({}, op(kind, key, **more)) == f"{kind}.path.proto_polluted"
    assert refusal({}, op(kind, "ä" * 129, **more)) == f"{kind}.path.segment_too_long"
    assert refusal({}, op(kind, "a" * 257, **more)) == f"{kind}.path.segment_too_long"
    assert after({"k": None}, op("append", "ä" * 128, value=1)) == {"k": None, "ä" * 128: [1]}


def test_only_merge_takes_a_list_of_keys() -> None:
    assert refusal({}, op("set", ["a"], value=1)) == "set.path.not_a_string"
    assert refusal({}, op("merge", ["a", ""], value={})) == "merge.path.empty_segment"
    assert refusal({}, op("merge", ["a"] * 33, value={})) == "merge.path.too_deep"
    after({}, op("merge", ["a"] * 32, value={}))
    assert refusal({}, op("merge", ["a", "__proto__"], value={})) == "merge.path.proto_polluted"


def test_merged_values_that_are_refused() -> None:
    for value in (1, "s", None, True):
        assert refusal({}, op("merge", "a", value=value)) == "merge.value.not_an_object"
    many = {str(number): 1 for number in range(1025)}
    assert refusal({}, op("merge", "a", value=many)) == "merge.value.too_many_keys"
    del many["0"]
    after({}, op("merge", "a", value=many))
    assert refusal({}, op("merge", value={"prototype": 1})) == "merge.value.proto_polluted"
    after({}, op("merge", value={"a": {"prototype": 1}}))
    assert refusal({}, op("merge", value={"x": nested(16)})) == "merge.value.too_deep"
    after({}, op("merge", value={"x": nested(15)}))


def test_failing_operations_are_skipped_and_named_by_index() -> None:
    outcome = run({}, op("explode"), op("set", "a", value=1), op("append", "a", value=1))
    assert outcome.value == {"a": 1}
    assert outcome.changed
    assert [(error.op_index, error.code) for error in outcome.errors] == [
        (0, "op.unknown_type"),
        (2, "append.type_mismatch"),
    ]


def test_no_operations_change_nothing() -> None:
    assert run(MISSING) == Outcome(Missing.MISSING, [], False)


OPS = st.builds(
    Op,
    type=st.sampled_from(["set", "merge", "increment", "decrement", "append", "remove", "?"]),
    path=st.one_of(
        st.none(), st.sampled_from(["", "a", "b"]), st.lists(st.sampled_from("ab"), max_size=3)
    ),
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner),
        max_leaves=6,
    ),
)


@given(st.lists(OPS, max_size=6))
def test_any_operations_end_with_one_value(ops: list[Op]) -> None:
    outcome = apply(MISSING, ops)
    assert outcome.changed == (len(outcome.errors) < len(ops))
    assert (outcome.value is MISSING) == (not outcome.changed)
