"""What a worker says of itself: its functions, trigger types, triggers and services."""

from __future__ import annotations

import hmac
import logging
from typing import TYPE_CHECKING, Final

from iii_engine.core.ledger import TakenBack, detach, entered
from iii_engine.core.sessions import Session
from iii_engine.core.triggers import Trigger, TriggerType
from iii_sdk import protocol
from iii_sdk.protocol import Message

if TYPE_CHECKING:
    from iii_engine.core.engine import Engine

log = logging.getLogger("iii.engine")

_PONG: Final = b'{"type":"pong"}'


class Declarations:
    """Applies the messages that are neither calls nor answers."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def apply(self, session: Session, message: Message) -> None:
        """Do what a message says that is neither a call nor an answer, without further checks."""
        match message:
            case protocol.RegisterFunction():
                self._register_function(session, message)
            case protocol.UnregisterFunction():
                _strike(session, message)
                self._engine.remote.forget(session, message.id)
                self._engine.registry.remove(session, message.id)
                if message.id not in self._engine.registry:
                    self._engine.services.detach(message.id)
            case protocol.RegisterTriggerType():
                self._register_trigger_type(session, message)
            case protocol.UnregisterTriggerType():
                _strike(session, message)
                self._engine.triggers.remove_type(message.id, session)
            case protocol.RegisterTrigger():
                self.register_trigger(session, message)
            case protocol.UnregisterTrigger():
                _strike(session, message)
                self._engine.triggers.withdraw(session, message.id)
            case protocol.TriggerRegistrationResult():
                self._engine.triggers.answered(session, message)
            case protocol.RegisterService():
                if entered(session, message) is None:
                    self._engine.services.register(session, message)
            case protocol.Ping():
                session.send(_PONG)
            case protocol.Reattach():
                self._reattach(session, message)
            case _:  # pong, and what only engines send
                pass

    def _register_function(self, session: Session, message: protocol.RegisterFunction) -> None:
        if not message.id.strip():
            log.warning("worker %s: function id is empty", session.name)
        elif entered(session, message) is not None:
            pass  # it is in the log
        elif message.invocation is not None:
            self._engine.remote.register(session, message)
        elif self._engine.registry.add(session, message):
            self._engine.remote.forget(session, message.id)
            self._engine.services.attach(message.id)

    def _register_trigger_type(
        self, session: Session, message: protocol.RegisterTriggerType
    ) -> None:
        if entered(session, message) is not None:
            return
        names = None if session.access is None else session.access.names
        self._engine.triggers.add_type(
            TriggerType(
                message.id,
                message.description or "",
                message.trigger_request_format,
                message.call_request_format,
                session,
                known_as=None if names is None else names.trigger_type_requested(message.id),
            )
        )

    def register_trigger(
        self,
        session: Session,
        message: protocol.RegisterTrigger,
        asked: protocol.RegisterTrigger | None = None,
    ) -> None:
        """Bind a function for a worker. `asked` is what it wrote, where the bus has other ids."""
        if (refusal := entered(session, message)) is not None:
            wrote = asked or message
            session.send(
                protocol.encode(
                    protocol.TriggerRegistrationResult(
                        wrote.id, wrote.trigger_type, wrote.function_id, refusal
                    )
                )
            )
            return
        if asked is not None:
            detach(asked)
        self._engine.triggers.add(Trigger.of(message, session, asked=asked))

    def _reattach(self, session: Session, message: protocol.Reattach) -> None:
        old = self._engine.sessions.get(message.previous_worker_id)
        if (
            old is None
            or old is session
            or not _same(old.reattach_token, message.reattach_token or "")
        ):
            return
        self._engine.disconnect(old)
        old.close(1008, "retired by reattach")


def _strike(session: Session, message: TakenBack) -> None:
    if session.ledger is not None:
        session.ledger.strike(message)


def _same(secret: str, given: str) -> bool:
    return hmac.compare_digest(secret.encode(), given.encode("utf-8", "replace"))
