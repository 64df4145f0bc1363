"""Logs as a part of the module."""

from __future__ import annotations

from functools import partial
from typing import Final

from iii_engine.core.router import Call
from iii_engine.core.timers import Timer
from iii_engine.core.turns import Pieces
from iii_engine.logs import LEVELS
from iii_engine.modules.base import answering
from iii_engine.modules.component import DISABLED, Component
from iii_engine.modules.observability.logs.capture import Capture
from iii_engine.modules.observability.logs.lines import LogLine, record_of
from iii_engine.modules.observability.logs.listing import LogRows, LogsQuery, list_logs
from iii_engine.modules.observability.logs.trigger import LogTriggers
from iii_engine.modules.observability.part import Nothing, Part, Success

#: How often what is too old is dropped, in seconds.
CLEAN_SECONDS: Final = 60
#: How soon the next of them are dropped where there are many.
PAUSE_SECONDS: Final = 0.1


class LogsPart(Part):
    """Takes lines of the engine and of workers, and calls who listens."""

    async def start(self) -> None:
        self._triggers = LogTriggers(self.module.engine)
        for level in LEVELS:
            self.module.offer(
                f"engine::log::{level}",
                answering(partial(self._write, level)),
                description=f"Write a line of level {level} to the engine's log",
                request=LogLine,
            )
        self.browse(
            "engine::logs::list",
            LogsQuery,
            self._list,
            description="The log records that are stored, the newest first",
            response=LogRows,
        )
        self.serve(
            "engine::logs::clear",
            Nothing,
            self._clear,
            description="Forget all log records",
            response=Success,
        )
        if self.telemetry.settings.enabled:
            self.module.offer_type(self._triggers.kind)
            self.telemetry.logs.listeners.append(self._triggers.deliver)
        self._capture = Capture(self.telemetry, self.module.host.loop)
        self._capture.start()
        self._timer: Timer
        self._clean()

    async def stop(self) -> None:
        self._timer.cancel()
        self._capture.stop()

    def components(self) -> dict[str, Component]:
        if not self.telemetry.settings.logs_enabled:
            return {"logs": DISABLED}
        return {"logs": Component("healthy", {"stored_logs": len(self.telemetry.logs)})}

    def _clean(self) -> None:
        clean = self.telemetry.logs.forget_old()
        wait = CLEAN_SECONDS if clean else PAUSE_SECONDS
        self._timer = self.module.engine.timers.after(wait, self._clean)

    def _write(self, level: str, call: Call) -> None:
        telemetry = self.telemetry
        now_ns = telemetry.engine.clock.now_ns()
        record = record_of(level, call, telemetry.resource, now_ns)
        if call.caller is not None and call.caller_trace is None:
            self._triggers.note_writer(record, call.caller)
        telemetry.take_logs([record])

    def _list(self, query: LogsQuery) -> Pieces[bytes]:
        self._capture.flush()
        now_ms = self.module.engine.clock.now_ns() // 1_000_000
        return list_logs(self.telemetry.logs, query, now_ms)

    def _clear(self, _: Nothing) -> Success:
        self._capture.flush()
        self.telemetry.logs.clear()
        return Success()
