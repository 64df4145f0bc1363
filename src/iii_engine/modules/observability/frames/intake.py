"""Frames wait here until the loop has time for them: whoever calls never waits for telemetry."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar

from iii_engine.core.foreign_json import foreign_json
from iii_engine.core.sizes import MIB

if TYPE_CHECKING:
    from iii_engine.modules.observability.telemetry import Telemetry

log = logging.getLogger("iii.observability")

T = TypeVar("T")

#: Bytes of one frame, and of all that wait. Of frames that wait, the oldest go first.
MAX_FRAME: Final = 4 * MIB
MAX_WAITING: Final = 32 * MIB
#: Records that are made of frames in one go.
BATCH: Final = 200
#: Seconds between two warnings about frames that are no use.
WARN_SECONDS: Final = 10.0

#: Stores records until there are none; each step is one batch.
Work: TypeAlias = Iterator[None]
DONE: Final = object()


class Intake:
    """Takes frames in order, a batch of records in each turn of the loop."""

    def __init__(self, telemetry: Telemetry, loop: asyncio.AbstractEventLoop) -> None:
        self._telemetry = telemetry
        self._loop = loop
        self._frames: deque[bytes] = deque()
        self._bytes = 0
        self._work: Work | None = None
        self._handle: asyncio.Handle | None = None
        self._idle: list[Callable[[], None]] = []
        self._warned_at = -WARN_SECONDS
        #: Frames that were no use: malformed, too large, or too many.
        self.dropped = 0

    @property
    def waiting(self) -> bool:
        return self._work is not None or bool(self._frames)

    def take(self, frame: bytes) -> None:
        """A worker sent a frame."""
        if len(frame) > MAX_FRAME:
            self._drop(f"{len(frame)} bytes are more than {MAX_FRAME}")
            return
        self._frames.append(frame)
        self._bytes += len(frame)
        while self._bytes > MAX_WAITING:
            self._bytes -= len(self._frames.popleft())
            self._drop("too many wait")
        if self._handle is None:
            self._handle = self._loop.call_soon(self._turn)

    def when_idle(self, then: Callable[[], None]) -> None:
        """Call `then` when everything that has arrived is stored; now, if that is so."""
        if self.waiting:
            self._idle.append(then)
        else:
            then()

    def stop(self) -> None:
        """Forget what waits."""
        self._frames.clear()
        self._work = None
        if self._handle is not None:
            self._handle.cancel()
        self._release()

    def _turn(self) -> None:
        self._handle = None
        work = self._work or self._open(self._next())
        self._work = None  # also when something goes wrong below
        try:
            if next(work, DONE) is not DONE:
                self._work = work
        except (ValueError, RecursionError) as error:
            self._drop(str(error))
        finally:
            if self.waiting:
                self._handle = self._loop.call_soon(self._turn)
            else:
                self._release()

    def _release(self) -> None:
        idle, self._idle = self._idle, []
        for then in idle:
            then()

    def _next(self) -> bytes:
        frame = self._frames.popleft()
        self._bytes -= len(frame)
        return frame

    def _open(self, frame: bytes) -> Work:
        # The first frame loads what reads frames: an engine that gets none starts sooner.
        from iii_engine.modules.observability.frames.logs import read_logs
        from iii_engine.modules.observability.frames.metrics import read_metrics
        from iii_engine.modules.observability.frames.spans import read_spans

        telemetry = self._telemetry
        settings, now_ns = telemetry.settings, telemetry.engine.clock.now_ns()
        match frame[:4]:
            case b"OTLP" if settings.enabled:
                for spans in _batches(read_spans(_body(frame), telemetry.sampler)):
                    for span in spans:
                        telemetry.spans.add(span)
                    yield
            case b"LOGS" if settings.logs_enabled:
                for records in _batches(read_logs(_body(frame), now_ns)):
                    telemetry.take_logs(records)
                    yield
            case b"MTRC" if settings.metrics_enabled:
                for metrics in _batches(read_metrics(_body(frame), now_ns)):
                    telemetry.metrics.take(metrics)
                    yield
            case b"OTLP" | b"LOGS" | b"MTRC":
                pass
            case prefix:
                self._drop(f"unknown kind {prefix!r}")

    def _drop(self, reason: str) -> None:
        self.dropped += 1
        now = self._loop.time()
        if now - self._warned_at >= WARN_SECONDS:
            self._warned_at = now
            log.warning("telemetry frame dropped (%d so far): %s", self.dropped, reason)


def _body(frame: bytes) -> memoryview:
    """Raises `ValueError`: what it holds may be given to workers."""
    return memoryview(foreign_json(frame[4:]))


def _batches(records: Iterator[T]) -> Iterator[list[T]]:
    while batch := list(islice(records, BATCH)):
        yield batch
