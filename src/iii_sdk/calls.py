"""The calls that wait for an answer.

Deadlines are kept in slots of 20 ms with one timer each, so a call costs no timer of its own and
ends at most one slot after its deadline.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Iterable
from typing import Final

from msgspec import Raw

from iii_sdk.errors import BusError, Timeout, Unavailable, error_from_wire
from iii_sdk.protocol import InvocationResult, error_body, is_null

SLOTS_PER_SECOND: Final = 50


class PendingCall:
    """One call under way. `sent` says that its frame is on the current connection, `patience` for
    how many seconds it waits for one; None for its `timeout`."""

    __slots__ = ("function_id", "future", "patience", "sent", "slot", "timeout")

    def __init__(
        self,
        function_id: str,
        future: asyncio.Future[Raw],
        slot: dict[str, PendingCall] | None,
        timeout: float | None,
    ) -> None:
        self.function_id = function_id
        self.future = future
        self.slot = slot
        self.timeout = timeout
        self.sent = False
        self.patience: float | None = None


class Calls:
    """Pending calls by invocation id. Each ends once: answer, timeout, lost connection, shutdown.

    Ids have the form of a version-4 UUID: a random prefix of this process and a counter.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._pending: dict[str, PendingCall] = {}
        self._slots: dict[int, tuple[dict[str, PendingCall], asyncio.TimerHandle]] = {}
        self._prefix = str(uuid.uuid4())[:24]
        self._count = 0

    def __len__(self) -> int:
        return len(self._pending)

    def __contains__(self, call_id: str) -> bool:
        return call_id in self._pending

    def open(self, function_id: str, timeout: float | None) -> tuple[str, PendingCall]:
        """Record a call before its frame leaves. `timeout` is in seconds; None waits for ever."""
        self._count += 1
        call_id = f"{self._prefix}{self._count:012x}"
        slot = None if timeout is None else self._slot(timeout)
        call = PendingCall(function_id, self._loop.create_future(), slot, timeout)
        self._pending[call_id] = call
        if slot is not None:
            slot[call_id] = call
        return call_id, call

    def forget(self, call_id: str) -> None:
        """A call that could not be put into words: nobody was given its future."""
        call = self._pending.pop(call_id)
        if call.slot is not None:
            del call.slot[call_id]

    def displaced(self, call_id: str) -> None:
        """A call that waited for a connection made room for newer ones."""
        self._fail(
            (call_id,),
            lambda call: _unavailable(
                call, "connection_overloaded", "too many calls wait for a connection"
            ),
        )

    def hold(self, call_id: str, patience: float) -> None:
        """A call waits so many seconds for a connection; its timeout begins when it is sent."""
        call = self._pending[call_id]
        call.patience = patience
        self._move(call_id, call, patience)

    def sent(self, call_id: str) -> None:
        """A call that waited for a connection is on its way."""
        call = self._pending.get(call_id)
        if call is not None:
            call.sent = True
            if call.patience is not None:
                self._move(call_id, call, call.timeout)

    def _move(self, call_id: str, call: PendingCall, timeout: float | None) -> None:
        """Have a call end so many seconds from now."""
        if call.slot is not None:
            del call.slot[call_id]
        call.slot = None if timeout is None else self._slot(timeout)
        if call.slot is not None:
            call.slot[call_id] = call

    def settle(self, message: InvocationResult) -> None:
        """The answer arrived; one that nobody waits for is dropped."""
        call = self._pending.pop(message.invocation_id, None)
        if call is None:
            return
        if call.slot is not None:
            del call.slot[message.invocation_id]
        future = call.future
        if future.done():
            return
        if is_null(message.error):
            future.set_result(message.result)
        else:
            error = error_body(message.error)
            future.set_exception(
                error_from_wire(
                    error.code,
                    error.message,
                    call.function_id,
                    error.stacktrace,
                    error.retry_after,
                    error.details,
                )
            )

    def lose_sent(self) -> None:
        """The connection is gone, and with it the way back for every call that was sent on it."""
        self._fail(
            [call_id for call_id, call in self._pending.items() if call.sent],
            lambda call: _unavailable(
                call, "connection_lost", "the connection to the engine was lost during the call"
            ),
        )

    def shut_down(self) -> None:
        """Nothing will be answered any more."""
        self._fail(
            list(self._pending),
            lambda call: _unavailable(call, "SHUTDOWN", "iii is shutting down"),
        )
        for _, timer in self._slots.values():
            timer.cancel()
        self._slots.clear()

    def _fail(self, call_ids: Iterable[str], error: Callable[[PendingCall], BusError]) -> None:
        for call_id in call_ids:
            call = self._pending.pop(call_id, None)
            if call is None:  # it has timed out meanwhile
                continue
            if call.slot is not None:
                del call.slot[call_id]
            if not call.future.done():
                call.future.set_exception(error(call))

    def _slot(self, timeout: float) -> dict[str, PendingCall]:
        index = int((self._loop.time() + timeout) * SLOTS_PER_SECOND) + 1
        entry = self._slots.get(index)
        if entry is None:
            timer = self._loop.call_at(index / SLOTS_PER_SECOND, self._expire, index)
            entry = self._slots[index] = ({}, timer)
        return entry[0]

    def _expire(self, index: int) -> None:
        slot, _ = self._slots.pop(index)
        for call_id, call in slot.items():
            del self._pending[call_id]
            if not call.future.done():
                call.future.set_exception(_timed_out(call))
        slot.clear()


def _timed_out(call: PendingCall) -> BusError:
    if call.patience is not None and not call.sent:
        text = f"no connection to the engine within {call.patience:g} s"
        return _unavailable(call, "not_connected", text)
    error = Timeout(f"invocation timed out after {round((call.timeout or 0) * 1000)}ms")
    error.code = "TIMEOUT"
    error.function_id = call.function_id
    return error


def _unavailable(call: PendingCall, code: str, message: str) -> BusError:
    return Unavailable(message, code=code, function_id=call.function_id)
