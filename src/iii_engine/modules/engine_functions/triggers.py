"""The functions about triggers and trigger types.

Clients of the 0.11 generation mean the triggers when they ask for `engine::triggers::list`; newer
ones mean the types. The ids `engine::registered-triggers::*` and `engine::trigger-types::list`
mean the same to everybody.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from msgspec import UNSET, Raw, Struct
from msgspec.json import encode

from iii_engine.core.engine import Engine
from iii_engine.core.sessions import Session
from iii_engine.core.triggers import Trigger, TriggerType
from iii_engine.core.turns import Pieces
from iii_engine.modules.engine_functions.functions import (
    FunctionRow,
    function_row,
    is_internal,
    visible,
)
from iii_engine.modules.engine_functions.opaque import Optional, present
from iii_engine.modules.pieces import array, paced
from iii_sdk.errors import BusError
from iii_sdk.protocol import WorkerMetadata

SUMMARY_CHARACTERS = 120


class TriggersQuery(Struct):
    """`view` says what is meant; without it the caller's generation decides."""

    include_internal: bool | None = None
    view: Literal["types", "instances"] | None = None


class TriggerEntry(Struct, omit_defaults=True):
    id: str
    trigger_type: str
    function_id: str
    config: Raw
    metadata: Optional = UNSET


class TypeRow(Struct):
    id: str
    namespace: str
    worker_name: str
    description: str


class TriggerEntries(Struct):
    triggers: list[TriggerEntry]


class TypeRows(Struct):
    """What newer clients get."""

    triggers: list[TypeRow]


class TypeQuery(Struct):
    id: str


class TypeDetail(Struct, omit_defaults=True):
    id: str
    namespace: str
    worker_name: str
    description: str
    instance_count: int
    configuration_schema: Optional = UNSET
    request_schema: Optional = UNSET
    response_schema: Optional = UNSET


class TypesQuery(Struct):
    include_internal: bool | None = None


class TypeEntry(Struct, omit_defaults=True):
    id: str
    description: str
    trigger_request_format: Optional = UNSET
    call_request_format: Optional = UNSET


class TypeEntries(Struct):
    trigger_types: list[TypeEntry]


class RegisteredQuery(Struct):
    """`search` looks into id, type and function; `worker` is a name or an id."""

    include_internal: bool | None = None
    search: str | None = None
    trigger_type: str | None = None
    function_id: str | None = None
    worker: str | None = None


class TriggerRow(Struct):
    id: str
    trigger_type: str
    function_id: str
    worker_name: str
    config: Raw
    config_summary: str


class TriggerRows(Struct):
    registered_triggers: list[TriggerRow]


class TriggerQuery(Struct):
    id: str


class TriggerDetail(Struct, omit_defaults=True):
    id: str
    trigger_type: str
    function_id: str
    worker_name: str
    config: Raw
    config_summary: str
    metadata: Optional = UNSET
    trigger: TypeRow | None = None
    function: FunctionRow | None = None


def list_triggers(engine: Engine, query: TriggersQuery, caller: Session | None) -> Pieces[bytes]:
    """`TriggerEntries` or `TypeRows` as JSON."""
    view = query.view
    if view is None:
        newer = caller is not None and _means_types(caller.metadata)
        view = "types" if newer else "instances"
    internal = bool(query.include_internal)
    if view == "types":
        return encode(TypeRows([type_row(kind) for kind in _types(engine, internal)]))
    rows = (
        None
        if trigger is None
        else encode(
            TriggerEntry(
                trigger.id,
                trigger.type,
                trigger.function_id,
                trigger.config,
                present(trigger.metadata),
            )
        )
        for trigger in _triggers(engine, internal, caller)
    )
    answer = yield from array(rows, head=b'{"triggers":[', tail=b"]}")
    return answer


def list_types(engine: Engine, query: TypesQuery) -> TypeEntries:
    return TypeEntries(
        [
            TypeEntry(
                k.id,
                k.description,
                present(k.trigger_request_format),
                present(k.call_request_format),
            )
            for k in _types(engine, bool(query.include_internal))
        ]
    )


def type_info(engine: Engine, query: TypeQuery) -> TypeDetail:
    """One trigger type with its schemas. Raises `NOT_FOUND`."""
    kind = engine.triggers.type_of(query.id)
    if kind is None:
        raise BusError(f"Trigger type {query.id} not found", code="NOT_FOUND")
    return TypeDetail(
        kind.id,
        "default",
        _provider(kind),
        kind.description,
        len(engine.triggers.of_type(kind)),
        present(kind.trigger_request_format),
        present(kind.call_request_format),
    )


def list_registered(
    engine: Engine, query: RegisteredQuery, caller: Session | None
) -> Pieces[bytes]:
    """`TriggerRows` as JSON."""
    found = _triggers(engine, bool(query.include_internal), caller)
    rows = (
        None if trigger is None else encode(trigger_row(trigger))
        for trigger in found
        if trigger is None or _wanted(trigger, query)
    )
    return array(rows, head=b'{"registered_triggers":[', tail=b"]}")


def registered_info(engine: Engine, query: TriggerQuery, caller: Session | None) -> TriggerDetail:
    """One trigger with its type and its function. Raises `NOT_FOUND`."""
    trigger = engine.triggers.get(query.id)
    if trigger is None or not visible(caller, trigger.function_id):
        raise BusError(f"Trigger {query.id} not found", code="NOT_FOUND")
    kind = engine.triggers.type_of(trigger.type)
    function = engine.registry.get(trigger.function_id)
    row = trigger_row(trigger)
    return TriggerDetail(
        row.id,
        row.trigger_type,
        row.function_id,
        row.worker_name,
        row.config,
        row.config_summary,
        present(trigger.metadata),
        None if kind is None else type_row(kind),
        None if function is None else function_row(function),
    )


def type_row(kind: TriggerType) -> TypeRow:
    return TypeRow(kind.id, "default", _provider(kind), kind.description)


def trigger_row(trigger: Trigger) -> TriggerRow:
    text = bytes(trigger.config).decode("utf-8", "replace")
    if len(text) > SUMMARY_CHARACTERS:
        text = text[: SUMMARY_CHARACTERS - 1] + "…"
    owner = "" if trigger.owner is None else trigger.owner.name
    return TriggerRow(trigger.id, trigger.type, trigger.function_id, owner, trigger.config, text)


def _provider(kind: TriggerType) -> str:
    return kind.module or ("" if kind.session is None else kind.session.name)


def _types(engine: Engine, include_internal: bool) -> list[TriggerType]:
    kinds = [k for k in engine.triggers.types() if include_internal or not is_internal(k.id)]
    return sorted(kinds, key=lambda kind: kind.id)


def _triggers(
    engine: Engine, include_internal: bool, caller: Session | None
) -> Iterator[Trigger | None]:
    """Those that there are now, with None where others may go on."""
    for trigger in paced(list(engine.triggers)):
        if trigger is None:
            yield None
            continue
        shown = include_internal or not is_internal(trigger.function_id)
        if shown and visible(caller, trigger.function_id):
            yield trigger


def _wanted(trigger: Trigger, query: RegisteredQuery) -> bool:
    owner = () if trigger.owner is None else (trigger.owner.id, trigger.owner.name)
    text = f"{trigger.id} {trigger.type} {trigger.function_id}".lower()
    return (
        (not query.search or query.search.lower() in text)
        and query.trigger_type in (None, trigger.type)
        and query.function_id in (None, trigger.function_id)
        and (query.worker is None or query.worker in owner)
    )


def _means_types(metadata: WorkerMetadata) -> bool:
    """Whether a client is of a generation that calls trigger types `triggers` (0.13 and later)."""
    if metadata.dialect == "0.11":
        return False
    if "observe.v1" in (metadata.features or ()):
        return True
    numbers = (metadata.version or "").split(".")[:2]
    return all(n.isdecimal() for n in numbers) and [int(n) for n in numbers] >= [0, 13]
