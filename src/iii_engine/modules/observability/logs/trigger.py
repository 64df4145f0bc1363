"""The trigger type `log`: calls functions with the records that are stored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

import msgspec

from iii_engine.core.engine import Engine
from iii_engine.core.fanout import Condition, Event, Fanout
from iii_engine.core.placed_triggers import read_config
from iii_engine.core.sessions import Session
from iii_engine.core.triggers import Trigger, TriggerType
from iii_engine.modules.base import schema
from iii_engine.modules.observability.logs.record import LogRecord
from iii_engine.modules.observability.logs.severity import level_of, number_of

TYPE: Final = "log"

Level = Literal["trace", "debug", "info", "warn", "error"]


class LogConfig(Condition, kw_only=True):
    """`level` is met exactly; `min_level` also by what is worse. Without either: all records."""

    level: Level | Literal["all"] = "all"
    min_level: Level | None = None

    def wants(self, level: str, number: int) -> bool:
        return self.level in ("all", level) and (
            self.min_level is None or number >= number_of(self.min_level)
        )


class LogTriggers:
    """The triggers of the type. What their handlers log fires none of them.

    That is known by the trace: each delivery begins one, whose id begins with digits that are this
    object's own. A worker that hands no trace on is silent to its triggers while it handles one.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._mark = engine.ids.span_id()
        self._fanout = Fanout(engine)
        self._configs: dict[Trigger, LogConfig] = {}
        self._handlers_own: LogRecord | None = None
        self.kind = TriggerType(
            TYPE,
            "Calls a function with every log record, or with those of a level",
            schema(LogConfig),
            schema(LogRecord),
            bind=self._bind,
            unbind=self._unbind,
        )

    def deliver(self, records: Sequence[LogRecord]) -> None:
        """Hand records to all who want them."""
        if self._configs:
            for record in records:
                if not self._caused_here(record):
                    self._deliver(record)

    def note_writer(self, record: LogRecord, writer: Session) -> None:
        """The record, which is stored next, was written by this worker in no trace of its own."""
        for trigger in self._configs:
            function = self._engine.registry.get(trigger.function_id)
            if (
                function is not None
                and writer in function.providers
                and self._fanout.running(trigger)
            ):
                self._handlers_own = record

    def _deliver(self, record: LogRecord) -> None:
        level = level_of(record.severity_number)
        wanting = [
            trigger
            for trigger, config in self._configs.items()
            if config.wants(level, record.severity_number)
        ]
        if wanting:
            trace_id = self._mark + self._engine.ids.span_id()
            span = self._engine.tracing.start("log_triggers", trace_id=trace_id)
            event = Event(None, msgspec.json.encode(record), span.traceparent)
            for trigger in wanting:
                self._fanout.deliver(trigger, event)
            span.end()

    def _caused_here(self, record: LogRecord) -> bool:
        """Whether it is about a delivery, or was written by who got one."""
        if record is self._handlers_own or (record.trace_id or "").startswith(self._mark):
            return True
        return record.attributes.get("trigger_type") == TYPE

    def _bind(self, trigger: Trigger) -> None:
        config = read_config(trigger.config, LogConfig, "log")
        self._configs[trigger] = config
        self._fanout.add(trigger, config.function_id)

    def _unbind(self, trigger: Trigger) -> None:
        if self._configs.pop(trigger, None) is not None:
            self._fanout.remove(trigger)
