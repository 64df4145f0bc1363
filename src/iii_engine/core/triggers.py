"""Trigger types and the triggers bound to them.

A type belongs to a module (bound in process) or to a worker (told by message). A trigger whose
type is not there yet is kept pending and bound when the type appears.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from msgspec import Raw

from iii_engine.core.access import Access
from iii_engine.core.ownerless import Ownerless
from iii_engine.core.reliance import Reliance
from iii_engine.core.sessions import Session
from iii_engine.core.trigger_index import TriggerIndex
from iii_sdk import protocol
from iii_sdk.errors import BusError
from iii_sdk.protocol import NULL, ErrorBody

log = logging.getLogger("iii.triggers")

#: Module that provides a built-in type, for the hint when it is not loaded.
MODULE_OF_TYPE = {
    "http": "iii-http",
    "cron": "iii-cron",
    "subscribe": "iii-pubsub",
    "pubsub": "iii-pubsub",
    "state": "iii-state",
    "durable:subscriber": "iii-queue",
    "queue": "iii-queue",
    "stream": "iii-stream",
    "stream:join": "iii-stream",
    "stream:leave": "iii-stream",
    "log": "iii-observability",
}

#: How long a trigger may wait for its type, and an owner for its answer, before a warning.
PATIENCE_NS = {"pending": 5_000_000_000, "answer": 30_000_000_000}


@dataclass(eq=False)
class Trigger:
    """A function bound to an event source. `owner` is None for one that outlives its maker.

    `claims` are the connections that registered it just so: a client that connects again registers
    again, and what its old connection still sent may come after that. The newest one owns it.
    """

    id: str
    type: str
    function_id: str
    config: Raw
    metadata: Raw
    owner: Session | None
    #: The rights that one without an owner was made with; None for those of a trusted maker.
    maker: Access | None = None
    #: What the owner wrote, where the bus has other ids for it.
    asked: protocol.RegisterTrigger | None = None
    bound: bool = False
    #: When to warn that nothing happened: no type, or no answer of the type's owner. 0 = done.
    warn_at_ns: int = 0
    claims: list[Session] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.owner is not None:
            self.claims.append(self.owner)

    @classmethod
    def of(
        cls,
        message: protocol.RegisterTrigger,
        owner: Session | None,
        *,
        maker: Access | None = None,
        asked: protocol.RegisterTrigger | None = None,
    ) -> Trigger:
        """What a message registers."""
        id, kind, function_id = message.id, message.trigger_type, message.function_id
        return cls(id, kind, function_id, message.config, message.metadata, owner, maker, asked)

    @property
    def access(self) -> Access | None:
        """The rights it goes by; None when it is trusted."""
        return self.maker if self.owner is None else self.owner.access

    def claim(self, other: Trigger) -> None:
        """Somebody registered the same again."""
        if other.owner is None:
            self.owner, self.metadata = None, other.metadata
            self.maker = other.maker
            self.claims.clear()
            return
        if other.owner not in self.claims:
            self.claims.append(other.owner)
        newest = max(self.claims, key=_epoch)
        if newest is other.owner:
            self.owner, self.metadata = newest, other.metadata
            self.asked = other.asked

    def disclaim(self, session: Session) -> bool:
        """One of those that registered it does not want it any more; whether nobody else does."""
        self.claims.remove(session)
        if self.claims:
            self.owner = max(self.claims, key=_epoch)
        return not self.claims

    def same_binding(self, other: Trigger) -> bool:
        return (self.type, self.function_id, bytes(self.config)) == (
            other.type,
            other.function_id,
            bytes(other.config),
        )


@dataclass(eq=False)
class TriggerType:
    """An event source. Either `session` owns it, or a module does through `bind` and `unbind`.

    `known_as` is the owner's own id for it, where that is another one.
    `bind` raises `BusError` to refuse a trigger.
    """

    id: str
    description: str = ""
    trigger_request_format: Raw = field(default_factory=lambda: NULL)
    call_request_format: Raw = field(default_factory=lambda: NULL)
    session: Session | None = None
    known_as: str | None = None
    module: str | None = None
    bind: Callable[[Trigger], None] | None = None
    unbind: Callable[[Trigger], None] | None = None
    waiting: dict[str, Trigger] = field(default_factory=dict)  # sent to the owner, not answered


def _epoch(session: Session) -> int:
    return session.epoch


class Triggers:
    """All trigger types and triggers. `now_ns` gives the time for the warnings."""

    def __init__(self, now_ns: Callable[[], int], reliance: Reliance) -> None:
        self._now = now_ns
        self._types: dict[str, TriggerType] = {}
        self._aliases: dict[str, str] = {}
        self._reliance = reliance
        self._triggers = TriggerIndex(reliance)
        self.ownerless = Ownerless()
        self._to_warn: dict[str, Trigger] = {}

    def __iter__(self) -> Iterator[Trigger]:
        return iter(self._triggers)

    def types(self) -> Iterator[TriggerType]:
        return iter(self._types.values())

    def get(self, trigger_id: str) -> Trigger | None:
        return self._triggers.get(trigger_id)

    def type_of(self, name: str) -> TriggerType | None:
        return self._types.get(self._aliases.get(name, name))

    def of_type(self, kind: TriggerType) -> list[Trigger]:
        aliased = [name for name, type_id in self._aliases.items() if type_id == kind.id]
        own = [] if kind.id in self._aliases else [kind.id]
        return self._triggers.of_types(own + aliased)

    # -- types -----------------------------------------------------------------------------------

    def add_type(self, kind: TriggerType, aliases: tuple[str, ...] = ()) -> bool:
        """Register a type and bind what waits for it. False when somebody else keeps the id."""
        old = self._types.get(self._aliases.get(kind.id, kind.id))
        if old is not None and old.module is not None and kind.module is None:
            log.warning("trigger type %r belongs to %s", kind.id, old.module)
            return False
        if old is not None:
            named = f"trigger type {kind.id!r}"
            if kind.session is not None and kind.session.left_behind(named, old.session):
                return False
            if old.session is not kind.session:
                log.warning("trigger type %r has a new owner", kind.id)
            if old.session is not kind.session or kind.module is not None:
                for trigger in self.of_type(old):
                    self._unbind(old, trigger)
        self._types[kind.id] = kind
        for alias in aliases:
            self._aliases[alias] = kind.id
        for trigger in self.of_type(kind):
            if trigger in self._triggers:  # binding one may have removed another
                self._bind(kind, trigger)
        return True

    def remove_type(self, type_id: str, session: Session | None = None) -> None:
        """Forget a type of this session, or of a module when session is None."""
        kind = self._types.get(type_id)
        if kind is None or kind.session is not session:
            return
        bereft = self.of_type(kind)
        del self._types[type_id]
        self._aliases = {a: k for a, k in self._aliases.items() if k != type_id}
        for trigger in bereft:
            if self.type_of(trigger.type) is None:
                trigger.bound = False
                self._await_type(trigger)

    # -- triggers --------------------------------------------------------------------------------

    def add(self, trigger: Trigger, maker: Session | None = None) -> ErrorBody | None:
        """Register, or replace the trigger of that id. Returns why it was refused.

        `maker` is the worker that made one without an owner.
        """
        if trigger.owner is not None:
            self.ownerless.strike(trigger.id)
        elif (refusal := self.ownerless.enter(trigger, maker)) is not None:
            return refusal
        old = self._triggers.get(trigger.id)
        if old is not None:
            if old.same_binding(trigger):
                old.claim(trigger)
                self._reliance.heed(old)
                return None
            named = f"trigger {trigger.id!r}"
            if trigger.owner is not None and trigger.owner.left_behind(named, old.owner):
                return None
            self._take_out(trigger.id)
        self._triggers.put(trigger)
        kind = self.type_of(trigger.type)
        if kind is None:
            self._await_type(trigger)
            return None
        return self._bind(kind, trigger)

    def remove(self, trigger_id: str) -> bool:
        """Forget a trigger; False when there is none."""
        self.ownerless.strike(trigger_id)
        return self._take_out(trigger_id)

    def _take_out(self, trigger_id: str) -> bool:
        trigger = self._triggers.pop(trigger_id)
        if trigger is None:
            return False
        self._to_warn.pop(trigger_id, None)
        kind = self.type_of(trigger.type)
        if kind is not None and trigger.bound:
            self._unbind(kind, trigger)
        return True

    def withdraw(self, session: Session, trigger_id: str) -> None:
        """A worker unregisters a trigger. What an old connection says only goes for itself."""
        trigger = self._triggers.get(trigger_id)
        if trigger is None or session not in trigger.claims:
            return
        if trigger.owner is session or trigger.disclaim(session):
            self.remove(trigger_id)

    def refuse(self, trigger: Trigger, error: ErrorBody) -> None:
        """Remove a trigger that was accepted once, and tell its owner why."""
        self.remove(trigger.id)
        self._tell_owner(trigger, error)

    def answered(self, session: Session, message: protocol.TriggerRegistrationResult) -> None:
        """The owner of a type accepted or refused a trigger."""
        trigger = self._triggers.get(message.id)
        kind = None if trigger is None else self.type_of(trigger.type)
        if trigger is None or kind is None or kind.session is not session:
            return
        if kind.waiting.pop(message.id, None) is None:
            return
        self._to_warn.pop(message.id, None)
        if message.error is not None:
            self._triggers.pop(message.id)
            self.ownerless.strike(message.id)
        self._tell_owner(trigger, message.error)

    def session_gone(self, session: Session) -> None:
        """Remove the triggers of a session; those of others on its types wait for its return."""
        for trigger in [t for t in self._triggers if session in t.claims]:
            if trigger.disclaim(session):
                self.remove(trigger.id)
        for kind in [k for k in self._types.values() if k.session is session]:
            self.remove_type(kind.id, session)

    # -- warnings --------------------------------------------------------------------------------

    def next_warning_ns(self) -> int | None:
        return min((t.warn_at_ns for t in self._to_warn.values()), default=None)

    def warn(self) -> None:
        """Say once what has been waiting for too long."""
        now = self._now()
        missing: dict[str, int] = {}
        for trigger in [t for t in self._to_warn.values() if t.warn_at_ns <= now]:
            del self._to_warn[trigger.id]
            if trigger.bound:
                log.warning("owner of trigger type %r did not answer %s", trigger.type, trigger.id)
                continue
            module = MODULE_OF_TYPE.get(trigger.type)
            hint = f"; is the module {module} loaded?" if module else ""
            text = f"trigger type {trigger.type!r} is not registered{hint}"
            missing[text] = missing.get(text, 0) + 1
            self._tell_owner(trigger, ErrorBody("trigger_type_not_found", text))
        for text, count in missing.items():
            log.warning("%s (%d triggers wait for it)", text, count)

    def _await_type(self, trigger: Trigger) -> None:
        trigger.warn_at_ns = self._now() + PATIENCE_NS["pending"]
        self._to_warn[trigger.id] = trigger

    # -- binding ---------------------------------------------------------------------------------

    def _bind(self, kind: TriggerType, trigger: Trigger) -> ErrorBody | None:
        trigger.bound = True
        self._to_warn.pop(trigger.id, None)
        if kind.session is not None:
            kind.waiting[trigger.id] = trigger
            trigger.warn_at_ns = self._now() + PATIENCE_NS["answer"]
            self._to_warn[trigger.id] = trigger
            kind.session.send(
                b"".join(
                    (
                        protocol.encode(
                            protocol.RegisterTrigger(
                                trigger.id,
                                kind.known_as or trigger.type,
                                trigger.function_id,
                                metadata=trigger.metadata,
                            )
                        )[:-1],
                        b',"config":',
                        trigger.config,
                        b"}",
                    )
                )
            )
            return None
        assert kind.bind is not None
        try:
            kind.bind(trigger)
        except BusError as refused:
            trigger.bound = False
            self._triggers.pop(trigger.id)
            self.ownerless.strike(trigger.id)
            error = ErrorBody(refused.code, refused.message)
            self._tell_owner(trigger, error)
            return error
        self._tell_owner(trigger, None)
        return None

    def _unbind(self, kind: TriggerType, trigger: Trigger) -> None:
        trigger.bound = False
        kind.waiting.pop(trigger.id, None)
        if kind.unbind is not None:
            kind.unbind(trigger)
        elif kind.session is not None:
            kind.session.send(
                protocol.encode(
                    protocol.UnregisterTrigger(
                        trigger.id,
                        kind.known_as or trigger.type,
                        trigger.function_id,
                        trigger.config,
                        trigger.metadata,
                    )
                )
            )

    def _tell_owner(self, trigger: Trigger, error: ErrorBody | None) -> None:
        if error is not None and error.code != "trigger_type_not_found":
            log.warning(
                "trigger of type %r for %s: %s", trigger.type, trigger.function_id, error.message
            )
        if trigger.owner is not None:
            asked = trigger.asked
            ids = (
                (trigger.id, trigger.type, trigger.function_id)
                if asked is None
                else (asked.id, asked.trigger_type, asked.function_id)
            )
            trigger.owner.send(protocol.encode(protocol.TriggerRegistrationResult(*ids, error)))
