"""`engine::workers::list`, `engine::workers::info` and `engine::workers::register`."""

from __future__ import annotations

from msgspec import Struct

from iii_engine.core.sessions import LARGE_MESSAGE, SMALL_MESSAGE, Session
from iii_engine.core.vitals import Vitals
from iii_engine.modules.base import Host
from iii_engine.modules.catalogue import find
from iii_engine.modules.engine_functions.functions import FunctionRow, function_row, visible
from iii_engine.modules.engine_functions.triggers import (
    TriggerRow,
    TypeRow,
    trigger_row,
    type_row,
)
from iii_engine.version import VERSION
from iii_sdk.errors import BusError
from iii_sdk.protocol import WorkerMetadata

#: A worker that says so reads messages above 1 MiB, whatever its runtime.
LARGE_MESSAGES = "large-messages.v1"


class WorkersQuery(Struct):
    """With `worker_id` only that one, even if it is hidden otherwise."""

    worker_id: str | None = None
    search: str | None = None
    runtime: str | None = None
    status: str | None = None


class WorkerRow(Struct):
    """One connection, or one module of the engine. Times are milliseconds since the epoch."""

    id: str
    name: str
    runtime: str
    version: str | None
    os: str | None
    ip_address: str | None
    internal: bool
    status: str
    connected_at_ms: int
    function_count: int
    functions: list[str]
    active_invocations: int
    latest_metrics: Vitals | None
    pid: int | None
    isolation: str | None
    description: str | None = None
    namespace: str = "default"


class WorkerRows(Struct):
    workers: list[WorkerRow]
    timestamp: int


class WorkerInfoQuery(Struct):
    worker_id: str | None = None
    name: str | None = None


class WorkerDetail(Struct):
    worker: WorkerRow
    functions: list[FunctionRow]
    trigger_types: list[TypeRow]
    registered_triggers: list[TriggerRow]


class Success(Struct):
    success: bool = True


class Workers:
    """Who is on the bus: the connections, and the modules of the engine itself."""

    def __init__(self, host: Host) -> None:
        self._engine = host.engine
        self._modules = host.modules
        self._started_ms = self._now_ms()

    def find(self, query: WorkersQuery, caller: Session | None) -> WorkerRows:
        """Everybody who matches, by name; each with the functions that the caller may call."""
        rows = [row for row in self._rows(query.worker_id) if _matches(row, query)]
        for row in rows:
            _restrict(row, caller)
        rows.sort(key=lambda row: (row.name, row.id))
        return WorkerRows(rows, self._now_ms())

    def info(self, query: WorkerInfoQuery, caller: Session | None) -> WorkerDetail:
        """One worker with what it provides. Raises `INVALID_ARGUMENTS` or `NOT_FOUND`."""
        wanted = query.worker_id or query.name
        if not wanted:
            raise BusError("give worker_id or name", code="INVALID_ARGUMENTS")
        rows = self._rows(query.worker_id) if query.worker_id else self._rows(None, hidden=True)
        row = next((r for r in rows if wanted == (r.id if query.worker_id else r.name)), None)
        if row is None:
            raise BusError(f"Worker {wanted} not found", code="NOT_FOUND")
        _restrict(row, caller)
        engine = self._engine
        functions = [f for f in map(engine.registry.get, row.functions) if f is not None]
        return WorkerDetail(
            row,
            [function_row(f) for f in functions],
            [
                type_row(kind)
                for kind in engine.triggers.types()
                if row.id == (kind.module or (kind.session and kind.session.id))
            ],
            [
                trigger_row(t)
                for t in engine.triggers
                if t.owner and t.owner.id == row.id and visible(caller, t.function_id)
            ],
        )

    def register(self, metadata: WorkerMetadata, caller: Session | None) -> Success:
        """A connection says who it is. What it leaves out keeps its value, as far as it can."""
        if caller is None:
            return Success()
        known = caller.metadata
        metadata.runtime = metadata.runtime or "unknown"
        metadata.name = metadata.name or known.name
        metadata.os = metadata.os or known.os
        metadata.pid = known.pid if metadata.pid is None else metadata.pid
        metadata.isolation = metadata.isolation or known.isolation
        caller.metadata = metadata
        caller.regroup()
        small = metadata.runtime == "python" and LARGE_MESSAGES not in (metadata.features or ())
        caller.max_message = SMALL_MESSAGE if small else LARGE_MESSAGE
        self._engine.on_worker_event("worker_metadata_updated", caller.id)
        return Success()

    def _now_ms(self) -> int:
        return self._engine.clock.now_ns() // 1_000_000

    def _rows(self, worker_id: str | None, *, hidden: bool = False) -> list[WorkerRow]:
        if worker_id is not None:
            session = self._engine.sessions.get(worker_id)
            if session is not None:
                return [_session_row(session, self._now_ms())]
            return [self._module_row(worker_id)] if worker_id in self._modules else []
        now_ms = self._now_ms()
        rows = [self._module_row(name) for name in self._modules]
        rows += [
            _session_row(session, now_ms)
            for session in self._engine.sessions.values()
            if hidden or session.metadata.pid is not None
        ]
        return rows

    def _module_row(self, name: str) -> WorkerRow:
        module = self._modules[name]
        builtin = find(module.kind)
        functions = sorted(f.id for f in self._engine.registry if f.module == name)
        return WorkerRow(
            id=name,
            name=name,
            runtime="engine",
            version=VERSION,
            os=None,
            ip_address=None,
            internal=builtin is not None and builtin.mandatory,
            status="available",
            connected_at_ms=self._started_ms,
            function_count=len(functions),
            functions=functions,
            active_invocations=0,
            latest_metrics=None,
            pid=None,
            isolation="in-process",
        )


def _session_row(session: Session, now_ms: int) -> WorkerRow:
    meta = session.metadata
    vitals = session.vitals
    functions = sorted(session.functions)
    return WorkerRow(
        id=session.id,
        name=session.name,
        runtime=meta.runtime or "unknown",
        version=meta.version,
        os=meta.os,
        ip_address=session.ip or None,
        internal=False,
        status="busy" if session.active else session.status.value,
        connected_at_ms=session.connected_at_ns // 1_000_000,
        function_count=len(functions),
        functions=functions,
        active_invocations=session.active,
        latest_metrics=vitals if vitals is not None and vitals.recent(now_ms) else None,
        pid=meta.pid,
        isolation=meta.isolation,
        description=meta.description,
    )


def _restrict(row: WorkerRow, caller: Session | None) -> None:
    """Leave out the functions that the caller may not know about."""
    row.functions = [function_id for function_id in row.functions if visible(caller, function_id)]
    row.function_count = len(row.functions)


def _matches(row: WorkerRow, query: WorkersQuery) -> bool:
    return (
        (not query.search or query.search.lower() in f"{row.name} {row.description}".lower())
        and query.runtime in (None, row.runtime)
        and query.status in (None, row.status)
    )
