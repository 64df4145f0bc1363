"""Streams whose items a worker keeps itself: it has the functions `stream::<op>(<stream>)`."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from msgspec import Raw, Struct

from iii_engine.core.caller_stamp import without_caller
from iii_engine.core.engine import Engine
from iii_engine.core.router import Call, OnAnswer
from iii_engine.modules.stream.records import Change
from iii_engine.modules.stream.requests import DeleteRequest, ItemRequest
from iii_sdk.protocol import NULL, ErrorBody, is_null


class _Written(Struct):
    new_value: Raw
    old_value: Raw = NULL


class _Removed(Struct):
    old_value: Raw = NULL


def custom(op: str, stream: str) -> str:
    """The function that does an operation on a stream in the engine's place, if it is there."""
    return f"stream::{op}({stream})"


def pass_on(engine: Engine, function_id: str, call: Call) -> None:
    """Let the worker answer."""
    _call(engine, function_id, call, call.settle)


def change_by(
    engine: Engine,
    function_id: str,
    call: Call,
    request: ItemRequest,
    changed: Callable[[Change], None],
) -> None:
    """Let the worker change an item and answer; `changed` is called with what it did."""

    def answered(result: Raw, error: ErrorBody | None) -> None:
        if error is not None:
            call.settle(NULL, error)
            return
        try:
            change = read_change(request, result)
        except msgspec.DecodeError as wrong:
            call.fail("JSON_ERROR", f"{function_id} answered something else than a change: {wrong}")
        else:
            call.reply(change.answer)
            changed(change)

    _call(engine, function_id, call, answered)


def _call(engine: Engine, function_id: str, call: Call, on_answer: OnAnswer) -> None:
    """Hand the request on, without a caller that its maker may have put into it."""
    data = without_caller(bytes(call.data))
    engine.call(function_id, data, on_answer, traceparent=call.traceparent, baggage=call.baggage)


def read_change(request: ItemRequest, result: Raw) -> Change:
    """What a worker says that it did. Raises `msgspec.DecodeError`."""
    new: bytes | None = None
    if isinstance(request, DeleteRequest):
        old = _value(msgspec.json.decode(result, type=_Removed).old_value)
    else:
        written = msgspec.json.decode(result, type=_Written)
        old, new = _value(written.old_value), bytes(written.new_value)
    return Change(
        request.stream_name,
        request.group_id,
        request.item_id,
        old,
        new,
        old is not None or new is not None,
        bytes(result),
    )


def _value(raw: Raw) -> bytes | None:
    """A value; null says that there was none."""
    return None if is_null(raw) else bytes(raw)
