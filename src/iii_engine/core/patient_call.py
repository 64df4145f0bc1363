"""Calls of functions that the engine's rules name, which may be about to be registered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from iii_sdk.protocol import NULL, ErrorBody

if TYPE_CHECKING:
    from iii_engine.core.engine import Engine
    from iii_engine.core.router import Call, OnAnswer
    from iii_engine.core.timers import Timer

#: How long a function may take to appear: guarded workers and their guards start together.
PROVIDER_SECONDS: Final = 5.0


class PatientCall:
    """A call that waits `PROVIDER_SECONDS` for its function to be registered.

    `on_answer` is called exactly once, possibly before `start` returns, unless `cancel` was called.
    `timeout_ms` counts from when the function is called.
    """

    def __init__(
        self, engine: Engine, function_id: str, data: bytes, on_answer: OnAnswer, timeout_ms: int
    ) -> None:
        self._engine = engine
        self._function_id = function_id
        self._data = data
        self._on_answer = on_answer
        self._timeout_ms = timeout_ms
        self._timer: Timer | None = None
        self._call: Call | None = None

    def start(self) -> None:
        if self._function_id in self._engine.registry:
            self._begin()
        else:
            self._timer = self._engine.timers.after(PROVIDER_SECONDS, self._give_up)
            self._engine.registry.await_provider(self._function_id, self._begin)

    def cancel(self) -> None:
        """Nobody needs the answer any more."""
        self._stop_waiting()
        if self._call is not None:
            self._call.cancel()

    def _begin(self) -> None:
        self._stop_waiting()
        self._call = self._engine.call(
            self._function_id, self._data, self._on_answer, timeout_ms=self._timeout_ms
        )

    def _give_up(self) -> None:
        self._stop_waiting()
        self._on_answer(
            NULL, ErrorBody("function_not_found", f"Function {self._function_id} not found")
        )

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._engine.registry.stop_awaiting(self._function_id, self._begin)
