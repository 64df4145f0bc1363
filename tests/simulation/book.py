"""What the engine must know, kept in the simplest way: the measure of its registry."""

from __future__ import annotations

from typing import Any

from tests.simulation.world import Violation

from iii_engine.core.engine import Engine
from iii_engine.core.sessions import Session, Status


class Book:
    """Written from the messages that reached the engine, in their order."""

    def __init__(self) -> None:
        self.functions: dict[Session, dict[str, None]] = {}
        #: Type, and the connections that registered it, of which the newest owns it.
        self.claims: dict[str, tuple[str, set[Session]]] = {}
        self.types: dict[str, Session] = {}

    def connected(self, session: Session) -> None:
        self.functions[session] = {}

    def applied(self, session: Session, message: dict[str, Any]) -> bool:
        """Note a message; whether it changed what must be known."""
        match message["type"]:
            case "registerfunction":
                self.functions[session][message["id"]] = None
            case "unregisterfunction":
                self.functions[session].pop(message["id"], None)
            case "registertrigger":
                claim = self.claims.setdefault(message["id"], (message["trigger_type"], set()))
                claim[1].add(session)
            case "unregistertrigger":
                if self.owner(message["id"]) is session:
                    del self.claims[message["id"]]
                else:
                    self._disclaim(session, message["id"])
            case "registertriggertype":
                owner = self.types.get(message["id"])
                if owner is None or owner.epoch < session.epoch:
                    self.types[message["id"]] = session
            case "reattach":
                pass
            case _:
                return False
        return True

    def gone(self, session: Session) -> None:
        del self.functions[session]
        for trigger_id in list(self.claims):
            self._disclaim(session, trigger_id)
        self.types = {k: v for k, v in self.types.items() if v is not session}

    def _disclaim(self, session: Session, trigger_id: str) -> None:
        if trigger_id in self.claims:
            owners = self.claims[trigger_id][1]
            owners.discard(session)
            if not owners:
                del self.claims[trigger_id]

    def owner(self, trigger_id: str) -> Session | None:
        claim = self.claims.get(trigger_id)
        return None if claim is None else max(claim[1], key=lambda session: session.epoch)

    def triggers(self, session: Session | None = None) -> dict[str, str]:
        """Type by id, of one owner or of all."""
        return {
            trigger_id: kind
            for trigger_id, (kind, _) in self.claims.items()
            if session is None or self.owner(trigger_id) is session
        }

    def provided(self, function_id: str) -> bool:
        """Whether somebody who is still there offers the function."""
        return any(
            function_id in offered and session.status is Status.CONNECTED
            for session, offered in self.functions.items()
        )

    def compare(self, engine: Engine, module_types: set[str]) -> None:
        """Raises `Violation` unless the engine knows exactly this."""
        expect("sessions", set(engine.sessions.values()), set(self.functions))
        wanted: dict[str, set[Session | None]] = {}
        for session, offered in self.functions.items():
            for function_id in offered:
                wanted.setdefault(function_id, set()).add(session)
        known = {f.id: set(f.providers) for f in engine.registry if f.local is None}
        expect("providers", known, wanted)
        owners = {trigger.id: (trigger.owner, trigger.type) for trigger in engine.triggers}
        expect("triggers", owners, {t: (self.owner(t), k) for t, k in self.triggers().items()})
        for trigger in engine.triggers:
            there = trigger.type in self.types or trigger.type in module_types
            expect(f"{trigger.id} bound", trigger.bound, there)


def expect(what: str, found: object, wanted: object) -> None:
    if found != wanted:
        raise Violation(f"{what}: {found!r}, and it must be {wanted!r}")
