"""What handlers get and what becomes of what they return or raise."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
import gc
import weakref
from collections import namedtuple
from typing import Any

import msgspec
import pydantic
import pytest
from tests.support.waiting import until_sync

from iii_sdk import IIIInvocationError, NotFound
from iii_sdk.compat.results import dump


class Item(pydantic.BaseModel):
    name: str
    count: int = 1


@dataclasses.dataclass
class Order:
    items: list[str]
    note: str | None = None


class Sum(msgspec.Struct, forbid_unknown_fields=True):
    a: int
    b: int


def ask(iii, function_id: str, payload: Any = None) -> Any:
    return iii.trigger({"function_id": function_id, "payload": payload, "timeout_ms": 10_000})


def test_wire_case_88_a_pydantic_model_arrives_as_an_instance(iii):
    seen = []

    @iii.function("handlers::pydantic")
    async def take(item: Item) -> Item:
        seen.append(item)
        return item

    assert ask(iii, "handlers::pydantic", {"name": "x"}) == {"name": "x", "count": 1}
    assert seen == [Item(name="x")]
    with pytest.raises(IIIInvocationError) as error:
        ask(iii, "handlers::pydantic", {"name": "x", "count": "many"})
    assert error.value.code == "deserialization_error"
    assert error.value.message.startswith(
        "Failed to deserialize input for handlers::pydantic: $.count: "
    )
    assert "many" not in error.value.message


def test_wire_case_88_inside_of_other_types_too(iii):
    iii.register_function("handlers::optional", _optional)
    iii.register_function("handlers::listed", _listed)
    assert ask(iii, "handlers::optional") == "none"
    assert ask(iii, "handlers::optional", {"name": "x"}) == "x"
    assert ask(iii, "handlers::listed", [{"items": ["a"]}, {"items": []}]) == [1, 0]
    with pytest.raises(IIIInvocationError, match=r"\$\[1\].items: missing"):
        ask(iii, "handlers::listed", [{"items": ["a"]}, {}])


def _optional(item: Item | None) -> str:
    return "none" if item is None else item.name


def _listed(orders: list[Order]) -> list[int]:
    return [len(order.items) for order in orders]


def test_wire_case_88_dataclasses_and_structs(iii):
    @iii.function("handlers::order")
    def order(data: Order) -> Order:
        return dataclasses.replace(data, note="seen")

    @iii.function("handlers::sum")
    def add(data: Sum) -> int:
        return data.a + data.b

    assert ask(iii, "handlers::order", {"items": []}) == {"items": [], "note": "seen"}
    assert ask(iii, "handlers::sum", {"a": 1, "b": 2}) == 3
    with pytest.raises(IIIInvocationError, match=r"handlers::sum: \$.b: expected int, got str"):
        ask(iii, "handlers::sum", {"a": 1, "b": "2"})


def test_an_untyped_handler_gets_plain_values_with_the_caller(iii):
    @iii.function("handlers::plain")
    async def plain(data: dict[str, Any]) -> Any:
        return data

    answer = ask(iii, "handlers::plain", {"a": [1, None]})
    assert answer == {"a": [1, None], "_caller_worker_id": iii.worker_id}
    assert ask(iii, "handlers::plain", 2**70) == 2**70
    assert ask(iii, "handlers::plain", "\ud800") == "\ud800"


def test_the_shapes_of_handlers(iii):
    class Callable:
        async def __call__(self, data):
            return ["object", data]

    def with_metadata(data, metadata):
        return [data, metadata]

    async def with_keyword(data, *, metadata=None):
        return [data, metadata]

    iii.register_function("handlers::none", lambda: "none")
    iii.register_function("handlers::object", Callable())
    iii.register_function("handlers::builtin", len)
    iii.register_function("handlers::meta", with_metadata)
    iii.register_function("handlers::keyword", with_keyword)
    iii.register_function("handlers::wrapped", lambda data: with_keyword(data))
    assert ask(iii, "handlers::none", 1) == "none"
    assert ask(iii, "handlers::object", 1) == ["object", 1]
    assert ask(iii, "handlers::builtin", [1, 2]) == 2
    assert ask(iii, "handlers::meta", 1) == [1, None]
    assert ask(iii, "handlers::keyword", 1) == [1, None]
    assert ask(iii, "handlers::wrapped", 1) == [1, None]


@pytest.mark.parametrize("handler", [lambda a, b, c: 1, lambda a, *, other: 1])
def test_a_signature_that_cannot_be_called(iii, handler):
    with pytest.raises(TypeError, match=r"expected \(data\)"):
        iii.register_function("handlers::wrong", handler)


def test_the_decorated_function_stays_what_it_is(iii):
    @iii.function("handlers::same", description="d")
    def twice(data):
        return data * 2

    assert twice(4) == 8


def test_ids(iii):
    with pytest.raises(ValueError, match="id is required"):
        iii.function()
    with pytest.raises(ValueError, match="id is required"):
        iii.register_function(" ", len)
    with pytest.raises(TypeError, match="function_id must be str, got int"):
        iii.register_function(7, len)
    with pytest.raises(TypeError, match="callable or HttpInvocationConfig, got int"):
        iii.register_function("handlers::seven", 7)
    first = iii.register_function("handlers::once", len)
    with pytest.raises(ValueError, match="'handlers::once' already registered"):
        iii.register_function("handlers::once", len)
    first.unregister()
    again = iii.register_function("handlers::once", lambda data: "again")
    first.unregister()
    assert ask(iii, "handlers::once") == "again"
    again.unregister()
    with pytest.raises(IIIInvocationError, match="function_not_found"):
        ask(iii, "handlers::once")


def test_what_a_handler_raises(iii):
    @iii.function("handlers::fails")
    async def fails(data):
        raise LookupError("boom")

    @iii.function("handlers::missing")
    def missing(data):
        raise NotFound("no such thing")

    @iii.function("handlers::exits")
    async def exits(data):
        raise SystemExit

    with pytest.raises(IIIInvocationError) as error:
        ask(iii, "handlers::fails")
    assert (error.value.code, error.value.message) == ("invocation_failed", "boom")
    assert "LookupError: boom" in error.value.stacktrace
    with pytest.raises(IIIInvocationError, match="not_found: no such thing"):
        ask(iii, "handlers::missing")
    with pytest.raises(IIIInvocationError, match="SystemExit"):
        ask(iii, "handlers::exits")
    with pytest.raises(IIIInvocationError, match="boom"):
        ask(iii, "handlers::fails")


def test_a_result_that_is_no_json(iii):
    iii.register_function("handlers::object", lambda: object())
    with pytest.raises(IIIInvocationError, match="object cannot be written") as error:
        ask(iii, "handlers::object")
    assert error.value.code == "serialization_error"


class Array:
    """As numpy's, whose arrays and scalars have this method."""

    def __init__(self, values):
        self.values = values

    def tolist(self):
        return self.values


class Aliased(pydantic.BaseModel):
    status_code: int = pydantic.Field(serialization_alias="statusCode")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Array([1.5, float("nan")]), b"[1.5,null]"),
        (float("inf"), b"null"),
        (datetime.datetime(2026, 1, 2, 3, 4, 5), b'"2026-01-02T03:04:05"'),
        ({7}, b"[7]"),
        (b"ab", b'"YWI="'),
        (Aliased(status_code=206), b'{"statusCode":206}'),
        (namedtuple("P", "x")(1), b"[1]"),
        ([2**70], b"[1180591620717411303424]"),
        ({"deep": [Array(3)]}, b'{"deep":[3]}'),
    ],
)
def test_results_as_json(value, text):
    assert dump(value) == text


@pytest.mark.parametrize("kind", [BaseException, KeyboardInterrupt, SystemExit])
def test_whatever_a_handler_raises_is_answered_and_ends_no_thread(iii, kind):
    def plain(data: Any) -> Any:
        raise kind("odd")

    async def awaited(data: Any) -> Any:
        raise kind("odd")

    async def fine(data: Any) -> Any:
        return "fine"

    iii.register_function("handlers::plain", plain)
    iii.register_function("handlers::awaited", awaited)
    iii.register_function("handlers::fine", fine)
    for name in ("handlers::plain", "handlers::awaited"):
        with pytest.raises(IIIInvocationError, match="odd") as error:
            ask(iii, name)
        assert error.value.code == "invocation_failed"
        assert ask(iii, "handlers::fine") == "fine"


def test_an_id_that_is_no_text_is_refused_at_once(iii):
    for call in (
        lambda: iii.trigger("q\ud800", {}).result(5),
        lambda: iii.enqueue("q\ud800", "f", {}).result(5),
    ):
        with pytest.raises(IIIInvocationError, match="lone surrogate") as error:
            call()
        assert error.value.code == "serialization_error"
    with pytest.raises(ValueError, match="lone surrogate"):
        iii.register_function("r\ud800", lambda data: 1)
    with pytest.raises(ValueError, match="lone surrogate"):
        iii.register_trigger("cron", "r\ud800", {})

    @iii.function("handlers::still")
    async def still(data: Any) -> Any:
        return "still"

    assert ask(iii, "handlers::still") == "still"


def test_a_handler_that_only_waits_is_not_collected(iii):
    """What it waits for may know it weakly, as caches and pools do."""
    waiting = weakref.WeakSet()

    @iii.function("handlers::waits")
    async def wait(data):
        answer = asyncio.get_running_loop().create_future()
        waiting.add(answer)
        return await answer

    call = iii.trigger("handlers::waits")
    until_sync(lambda: len(waiting) == 1)
    gc.collect()
    (answer,) = waiting
    answer.get_loop().call_soon_threadsafe(answer.set_result, "here")
    assert call.result(10) == "here"
