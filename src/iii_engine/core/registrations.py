"""The registrations of one guarded session: in order, while hooks decide about them.

Hooks take their time, and may live on the very worker that waits for them. So results and pongs of
that worker are applied as they come; what waits is a later registration, and a call that may need
an earlier one.
"""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final, TypeAlias

from msgspec.structs import replace

from iii_engine.core.guarded_triggers import ask_for_trigger
from iii_engine.core.hooks import ask
from iii_engine.core.ledger import entered
from iii_engine.core.sessions import Status
from iii_engine.core.sizes import MIB
from iii_engine.core.standing import standing_of
from iii_sdk import protocol
from iii_sdk.protocol import ErrorBody, InvokeFunction, RegisterFunction

if TYPE_CHECKING:
    from iii_engine.core.access import Access
    from iii_engine.core.engine import Engine
    from iii_engine.core.patient_call import PatientCall
    from iii_engine.core.sessions import Session
    from iii_engine.core.timers import Timer

log = logging.getLogger("iii.access")

#: How long a call waits for earlier registrations of its worker.
HOLD_SECONDS: Final = 10.0

#: What may wait for a hook before the worker is not read any more.
MAX_WAITING: Final = 1000
MAX_WAITING_BYTES: Final = 16 * MIB

#: The messages that go through here.
Registering: TypeAlias = (
    protocol.RegisterFunction
    | protocol.UnregisterFunction
    | protocol.RegisterTriggerType
    | protocol.UnregisterTriggerType
    | protocol.RegisterTrigger
    | protocol.UnregisterTrigger
    | protocol.RegisterService
)


@dataclass(eq=False)
class Waiting:
    """A registration that waits, and the bytes it holds."""

    message: Registering
    size: int


@dataclass(eq=False)
class WaitingCall:
    """A call that waits, until its time is over."""

    message: InvokeFunction
    frame: bytes
    overdue: Timer

    @property
    def size(self) -> int:
        return len(self.frame)


class Registrations:
    """Takes the session's registrations, and its calls while one of them is undecided."""

    def __init__(self, engine: Engine, session: Session, access: Access) -> None:
        self._engine = engine
        self._session = session
        self._access = access
        self._waiting: deque[Waiting | WaitingCall] = deque()
        self._size = 0
        self._undecided = False
        self._hook: PatientCall | None = None
        self._draining = False
        self._releasing = False

    def submit(self, message: Registering, size: int) -> None:
        """Apply a registration, in its turn."""
        self._wait(Waiting(message, size))
        self._drain()

    def hold(self, message: InvokeFunction, frame: bytes) -> bool:
        """Whether a call has to wait; then it is invoked in its turn, or after `HOLD_SECONDS`."""
        if self._releasing or not (self._undecided or self._waiting):
            return False

        def overdue() -> None:
            self._waiting.remove(waiting)
            self._size -= waiting.size
            self._release(waiting)

        timer = self._engine.timers.after(HOLD_SECONDS, overdue)
        waiting = WaitingCall(message, frame, timer)
        self._wait(waiting)
        return True

    def close(self) -> None:
        """The session is gone: what waits is forgotten, and so is the hook's answer."""
        for waiting in self._waiting:
            if isinstance(waiting, WaitingCall):
                waiting.overdue.cancel()
        self._waiting.clear()
        if self._hook is not None:
            self._hook.cancel()

    # -- the queue -------------------------------------------------------------------------------

    def _wait(self, waiting: Waiting | WaitingCall) -> None:
        self._waiting.append(waiting)
        self._size += waiting.size
        if len(self._waiting) >= MAX_WAITING or self._size >= MAX_WAITING_BYTES:
            self._session.held = True
            self._session.pause()

    def _drain(self) -> None:
        """Apply what waits, as far as the next question to a hook."""
        if self._draining:  # a hook answered at once: the loop below goes on
            return
        self._draining = True
        try:
            while self._waiting and not self._undecided:
                self._next(self._waiting.popleft())
        finally:
            self._draining = False
        if self._session.held and not self._waiting:
            self._session.held = False
            self._session.consider()

    def _next(self, waiting: Waiting | WaitingCall) -> None:
        self._size -= waiting.size
        if isinstance(waiting, WaitingCall):
            self._release(waiting)
            return
        names = self._access.names
        match message := waiting.message:
            case protocol.RegisterFunction():
                self._register_function(message)
            case protocol.RegisterTriggerType():
                self._register_trigger_type(message)
            case protocol.RegisterTrigger():
                self._register_trigger(message)
            case protocol.RegisterService():
                self._register_service(message)
            case protocol.UnregisterFunction():
                mapped = names.forget_function(message.id)
                self._engine.declarations.apply(self._session, replace(message, id=mapped))
            case protocol.UnregisterTriggerType():
                mapped = names.forget_trigger_type(message.id)
                self._engine.declarations.apply(self._session, replace(message, id=mapped))
            case _:
                mapped = names.forget_trigger(message.id)
                self._engine.declarations.apply(self._session, replace(message, id=mapped))

    def _release(self, waiting: WaitingCall) -> None:
        waiting.overdue.cancel()
        self._releasing = True
        try:
            self._engine.invocations.invoke(self._session, waiting.message, waiting.frame)
        finally:
            self._releasing = False

    def _decided(self) -> bool:
        """A question has its answer; False when it is of no use any more."""
        self._undecided = False
        self._hook = None
        return self._session.status is not Status.GONE

    # -- functions -------------------------------------------------------------------------------

    def _register_function(self, message: RegisterFunction) -> None:
        if not self._access.may_register_functions():
            self._deny(f"function {message.id!r}", "it may not register functions")
        elif not message.id.strip():
            self._deny("a function", "its id is empty")
        else:
            self._undecided = True
            self._hook = ask(self._engine, self._access, message, partial(self._place, message.id))

    def _place(self, requested: str, answer: RegisterFunction | ErrorBody) -> None:
        if self._decided():
            if isinstance(answer, ErrorBody):
                self._deny(f"function {requested!r}", answer.message)
            else:
                self._add_function(requested, answer)
        self._drain()

    def _add_function(self, requested: str, message: RegisterFunction) -> None:
        engine, names = self._engine, self._access.names
        mapped = names.prefixed(message.id)
        refusal = engine.reliance.refusal(mapped, standing_of(self._access, mapped))
        if refusal is not None:
            self._deny(f"function {mapped!r}", refusal)
        else:
            named = replace(message, id=mapped)
            if entered(self._session, named) is not None:
                return  # it is in the log
            earlier = names.function(requested)
            if earlier != mapped and earlier in self._session.functions:
                names.forget_function(requested)
                engine.declarations.apply(self._session, protocol.UnregisterFunction(earlier))
            names.map_function(requested, mapped)
            engine.declarations.apply(self._session, named)

    # -- trigger types ---------------------------------------------------------------------------

    def _register_trigger_type(self, message: protocol.RegisterTriggerType) -> None:
        if not self._access.may_register_trigger_types():
            self._deny(f"trigger type {message.id!r}", "it may not register trigger types")
            return
        self._undecided = True
        self._hook = ask(self._engine, self._access, message, partial(self._place_type, message.id))

    def _place_type(self, requested: str, answer: protocol.RegisterTriggerType | ErrorBody) -> None:
        if self._decided():
            if isinstance(answer, ErrorBody):
                self._deny(f"trigger type {requested!r}", answer.message)
            else:
                self._add_type(requested, answer)
        self._drain()

    def _add_type(self, requested: str, message: protocol.RegisterTriggerType) -> None:
        owned = self._engine.triggers.type_of(message.id)
        if owned is not None and not self._may_replace(owned.session):
            self._deny(f"trigger type {message.id!r}", "it belongs to somebody else")
        elif entered(self._session, message) is None:
            self._access.names.map_trigger_type(requested, message.id)
            self._engine.declarations.apply(self._session, message)

    # -- triggers --------------------------------------------------------------------------------

    def _register_trigger(self, message: protocol.RegisterTrigger) -> None:
        self._undecided = True
        self._hook = ask_for_trigger(
            self._engine, self._access, message, partial(self._place_trigger, message)
        )

    def _place_trigger(
        self, asked: protocol.RegisterTrigger, answer: protocol.RegisterTrigger | ErrorBody
    ) -> None:
        if self._decided():
            if isinstance(answer, ErrorBody):
                self._deny_trigger(asked, answer)
            else:
                self._add_trigger(asked, answer)
        self._drain()

    def _add_trigger(
        self, asked: protocol.RegisterTrigger, message: protocol.RegisterTrigger
    ) -> None:
        owned = self._engine.triggers.get(message.id)
        if owned is not None and not self._may_replace(owned.owner):
            text = f"trigger {message.id!r} belongs to somebody else"
            self._deny_trigger(asked, ErrorBody("FORBIDDEN", text))
        else:
            if entered(self._session, message) is None:
                self._access.names.map_trigger(asked.id, message.id)
            self._engine.declarations.register_trigger(self._session, message, asked)

    def _deny_trigger(self, asked: protocol.RegisterTrigger, error: ErrorBody) -> None:
        self._deny(f"a trigger of type {asked.trigger_type!r}", error.message)
        self._session.send(
            protocol.encode(
                protocol.TriggerRegistrationResult(
                    asked.id, asked.trigger_type, asked.function_id, error
                )
            )
        )

    # -- the rest --------------------------------------------------------------------------------

    def _register_service(self, message: protocol.RegisterService) -> None:
        owner = self._engine.services.owner_of(message.id)
        if owner is not None and not self._may_replace(owner):
            self._deny(f"service {message.id!r}", "it belongs to another worker")
        else:
            self._engine.declarations.apply(self._session, message)

    def _may_replace(self, owner: Session | None) -> bool:
        return owner is self._session or self._access.may_replace(owner)

    def _deny(self, what: str, reason: str) -> None:
        log.warning("worker %s: %s is not registered: %s", self._session.name, what, reason)
