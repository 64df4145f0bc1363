"""`engine::functions::list` and `engine::functions::info`."""

from __future__ import annotations

from collections.abc import Iterator
from operator import itemgetter
from typing import Final

from msgspec import UNSET, Raw, Struct
from msgspec.json import encode

from iii_engine.core.access import Access
from iii_engine.core.engine import Engine
from iii_engine.core.registry import Function
from iii_engine.core.sessions import Session
from iii_engine.core.turns import Pieces
from iii_engine.modules.engine_functions.opaque import Optional, present
from iii_engine.modules.pieces import array, paced
from iii_engine.modules.sorting import Sorted
from iii_sdk.errors import BusError

INTERNAL_PREFIX = "engine::"
MAX_IDS = 32

#: How an answer begins.
HEAD: Final = b'{"functions":['


class FunctionsQuery(Struct):
    """Filters are combined; `search` also ranks. Workers are named by name or id."""

    include_internal: bool | None = None
    search: str | None = None
    prefix: str | None = None
    worker: str | None = None
    workers: list[str] | None = None


class FunctionRow(Struct):
    """One function in the words of its newest registration; absent values are null."""

    function_id: str
    description: str | None
    request_format: Raw
    response_format: Raw
    metadata: Raw
    namespace: str
    worker_name: str


class FunctionRows(Struct):
    """Schema of the answer."""

    functions: list[FunctionRow]


class FunctionInfoQuery(Struct):
    """One of the two; at most 32 ids."""

    function_id: str | None = None
    function_ids: list[str] | None = None


class BoundTrigger(Struct):
    id: str
    trigger_type: str
    config: Raw


class FunctionDetail(Struct, omit_defaults=True):
    function_id: str
    namespace: str
    worker_name: str
    registered_triggers: list[BoundTrigger]
    description: str | None = None
    request_schema: Optional = UNSET
    response_schema: Optional = UNSET
    metadata: Optional = UNSET


class MissingFunction(Struct):
    function_id: str
    error: str


class FunctionDetails(Struct):
    functions: list[FunctionDetail | MissingFunction]


def visible(caller: Session | None, function_id: str) -> bool:
    """Whether the caller may know about a function: it may call it."""
    return caller is None or caller.access is None or caller.access.may_call(function_id)


def is_internal(function_id: str) -> bool:
    return function_id.startswith(INTERNAL_PREFIX)


def provider_name(function: Function) -> str:
    """The worker or the module that answers the next call."""
    session = function.newest.session
    return (function.module or "") if session is None else session.name


def function_row(function: Function) -> FunctionRow:
    newest = function.newest
    return FunctionRow(
        function.id,
        newest.description,
        newest.request_format,
        newest.response_format,
        newest.metadata,
        "default",
        provider_name(function),
    )


def list_functions(
    engine: Engine, query: FunctionsQuery, access: Access | None, head: bytes = HEAD
) -> Pieces[bytes]:
    """The functions that may be called, by id, or best match first when searching: `FunctionRows`
    as JSON, whose beginning is `head`. One that goes meanwhile is left out."""
    found: Sorted[tuple[int, str, Function]] = Sorted(itemgetter(0, 1))
    for function in paced(list(engine.registry)):
        if function is None:
            yield
        elif _is_there(engine, function) and (access is None or access.may_call(function.id)):
            rank = _rank(function, query.search)
            if rank < _NO_MATCH and _wanted(function, query):
                found.add((rank, function.id, function))
    answer = yield from array(_rows(engine, found), head=head, tail=b"]}")
    return answer


def _is_there(engine: Engine, function: Function) -> bool:
    return engine.registry.get(function.id) is function


def _rows(engine: Engine, found: Sorted[tuple[int, str, Function]]) -> Iterator[bytes | None]:
    for item in found.page():
        if item is None:
            yield None
        elif _is_there(engine, item[2]):
            yield encode(function_row(item[2]))


def function_info(
    engine: Engine, query: FunctionInfoQuery, caller: Session | None
) -> FunctionDetail | FunctionDetails:
    """Everything about one function (`NOT_FOUND` when there is none), or about several."""
    one, several = query.function_id, query.function_ids
    if (one is None) == (several is None):
        raise BusError("give either function_id or function_ids", code="INVALID_ARGUMENTS")
    if one is not None:
        (detail,) = _details(engine, [one], caller)
        if isinstance(detail, MissingFunction):
            raise BusError(detail.error, code="NOT_FOUND")
        return detail
    assert several is not None
    if len(several) > MAX_IDS:
        raise BusError(f"function_ids: at most {MAX_IDS} ids", code="INVALID_ARGUMENTS")
    return FunctionDetails(_details(engine, several, caller))


def _details(
    engine: Engine, ids: list[str], caller: Session | None
) -> list[FunctionDetail | MissingFunction]:
    """Of each; there is one look at the triggers, which may be many."""
    bound: dict[str, list[BoundTrigger]] = {function_id: [] for function_id in ids}
    for t in engine.triggers:
        if t.function_id in bound:
            bound[t.function_id].append(BoundTrigger(t.id, t.type, t.config))
    return [_detail(engine, function_id, bound[function_id], caller) for function_id in ids]


def _detail(
    engine: Engine, function_id: str, bound: list[BoundTrigger], caller: Session | None
) -> FunctionDetail | MissingFunction:
    function = engine.registry.get(function_id)
    if function is None or not visible(caller, function_id):
        return MissingFunction(function_id, f"Function {function_id} not found")
    newest = function.newest
    return FunctionDetail(
        function_id,
        "default",
        provider_name(function),
        bound,
        newest.description,
        present(newest.request_format),
        present(newest.response_format),
        present(newest.metadata),
    )


def _wanted(function: Function, query: FunctionsQuery) -> bool:
    if is_internal(function.id) and not query.include_internal:
        return False
    if query.prefix and not function.id.startswith(query.prefix):
        return False
    names = [*(query.workers or ()), *([query.worker] if query.worker else ())]
    return not names or any(_provided_by(function, name) for name in names)


def _provided_by(function: Function, name: str) -> bool:
    return function.module == name or any(
        session is not None and name in (session.name, session.id) for session in function.providers
    )


_NO_MATCH = 4


def _rank(function: Function, search: str | None) -> int:
    """0 the very id, 1 its beginning, 2 inside it, 3 inside the description."""
    if not search:
        return 0
    wanted, name = search.lower(), function.id.lower()
    if name == wanted:
        return 0
    if name.startswith(wanted):
        return 1
    if wanted in name:
        return 2
    return 3 if wanted in (function.newest.description or "").lower() else _NO_MATCH
