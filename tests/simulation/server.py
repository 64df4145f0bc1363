"""The real core as a program that accepts links, fires events, dies and comes back empty."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

import msgspec
from msgspec import Raw
from tests.simulation.book import Book, expect
from tests.simulation.link import Link, Side
from tests.simulation.world import Violation, World

from iii_engine.core.clock import SeededIds
from iii_engine.core.engine import Engine
from iii_engine.core.fanout import Event, Fanout
from iii_engine.core.router import Call
from iii_engine.core.sessions import Session, Status
from iii_engine.core.triggers import Trigger, TriggerType
from iii_sdk.protocol import ErrorBody, WorkerMetadata

#: The trigger type that the server itself provides.
TICK = "tick"
#: Events of one key keep their order.
KEYS = 3
#: Trigger id and number of the event.
Delivery: TypeAlias = tuple[str, int]
#: How the delivery of an event may fail.
FAILURES = {"function_not_found", "invocation_stopped", "timeout", "withdrawn"}
#: Seconds until a call without an answer ends.
TIMEOUT = 40.0


class Server:
    def __init__(self, world: World) -> None:
        self.world = world
        self.up = False
        self.links: dict[Session, Link] = {}
        self.events = 0
        #: What became of each event for each trigger: an error code, or None when it was handled.
        self.outcomes: dict[Delivery, str | None] = {}
        #: Events without an outcome so far, for triggers that are still there.
        self.under_way: dict[Delivery, None] = {}
        self._applying = ""
        self.start()

    # -- life ------------------------------------------------------------------------------------

    def start(self) -> None:
        self.up = True
        self._alarm = 0
        self.book = Book()
        ids = SeededIds(self.world.chance.getrandbits(64))
        self.engine = Engine(self.world, ids, invocation_timeout_ms=int(TIMEOUT * 1000))
        self.engine.on_worker_event = self._worker_event
        self.engine.add_function("engine::workers::register", _describe, module="simulation")
        self.fanout = Fanout(self.engine)
        self._bound: dict[Trigger, None] = {}
        kind = TriggerType(TICK, module="simulation", bind=self._bind, unbind=self._unbind)
        self.engine.add_trigger_type(kind)
        self.engine.call = self._observed(self.engine.call)  # type: ignore[method-assign]

    def kill(self, down: float) -> None:
        """It dies, and starts again after so many seconds. Its sockets die with it."""
        if not self.up:
            return
        self.world.note("engine killed")
        self.up = False
        for link in list(self.links.values()):
            link.cut(self.world.chance.choice((0.0, 0.01, 0.5, 5.0)), 0.0)
        self.links.clear()
        self.under_way.clear()
        self.world.after(down, self.start)

    def connect(self, worker: Side) -> Link | None:
        """A new link, or None when nothing listens."""
        if not self.up:
            return None
        link = Link(self.world, worker, self)
        link.session = session = self.engine.connect(link.wake)
        self.links[session] = link
        self.book.connected(session)
        link.wake(session)
        return link

    # -- Side ------------------------------------------------------------------------------------

    def received(self, link: Link, frame: bytes) -> None:
        session = link.session
        if session not in self.links or session.status is Status.GONE:
            return
        message = msgspec.json.decode(frame)
        self.world.note(f"{session.id[:8]} > {frame[:160].decode()}")
        self._applying = message["type"]
        if message["type"] == "invokefunction":
            self._invoke(session, message["function_id"], frame)
        else:
            changed = self.book.applied(session, message)
            self.engine.receive(session, frame)
            if changed:
                self.book.compare(self.engine, {TICK})
        self._applying = ""
        self._set_alarm()

    def _invoke(self, session: Session, function_id: str, frame: bytes) -> None:
        """A call is refused when nobody provides the function, and only then."""
        missing = not self.book.provided(function_id) and not function_id.startswith("engine::")
        before = len(session.outbox)
        self.engine.receive(session, frame)
        refused = any(b'"function_not_found"' in answer for answer in session.outbox[before:])
        expect(f"call of {function_id} refused", refused, missing)

    def ended(self, link: Link) -> None:
        session = link.session
        if session not in self.links:
            return
        self.world.note(f"{session.id[:8]} is noticed dead")
        self.engine.disconnect(session)
        self.book.compare(self.engine, {TICK})
        self._set_alarm()

    def _worker_event(self, event: str, worker_id: str) -> None:
        """The engine dropped a session, for whatever reason."""
        if event != "worker_disconnected":
            return
        (session,) = [s for s in self.links if s.id == worker_id]
        del self.links[session]
        self.book.gone(session)

    def _set_alarm(self) -> None:
        due = self.engine.next_deadline_ns()
        if due is not None and (self._alarm <= self.world.now_ns() or due < self._alarm):
            self._alarm = due
            self.world.at(due, self._ring, self.engine)

    def _ring(self, engine: Engine) -> None:
        if engine is self.engine and self.up:
            self._alarm = 0
            engine.advance()
            self._set_alarm()

    # -- events ----------------------------------------------------------------------------------

    def fire(self) -> None:
        """An event for every trigger that is bound."""
        if not self.up:
            return
        self.events += 1
        for trigger in list(self._bound):
            self.under_way[trigger.id, self.events] = None
            payload = msgspec.json.encode({"event": self.events, "trigger": trigger.id})
            self.fanout.deliver(trigger, Event(f"key-{self.events % KEYS}", payload))
        self._set_alarm()

    def _bind(self, trigger: Trigger) -> None:
        self._bound[trigger] = None
        self.fanout.add(trigger)

    def _unbind(self, trigger: Trigger) -> None:
        """Only with its owner, or because its owner said so; what waits for it goes."""
        owner = trigger.owner
        if owner is None or (
            owner.status is not Status.GONE and self._applying != "unregistertrigger"
        ):
            raise Violation(f"{trigger.id} was unbound")
        self.under_way = {k: None for k in self.under_way if k[0] != trigger.id}
        del self._bound[trigger]
        self.fanout.remove(trigger)

    def _observed(self, call: Any) -> Any:
        """`Engine.call` that checks how each delivery of an event ends."""

        def observed(function_id: str, data: bytes, on_answer: Any, **options: Any) -> Call:
            event = msgspec.json.decode(data)
            key = (event["trigger"], event["event"])

            def answered(result: Raw, error: ErrorBody | None) -> None:
                if key in self.outcomes:
                    raise Violation(f"event {key} ended twice")
                self.outcomes[key] = code = error and error.code
                self.under_way.pop(key, None)
                if code is not None and code not in FAILURES:
                    raise Violation(f"event {key} ended with {code}")
                self.world.note(f"event {key}: {code}")
                on_answer(result, error)

            missing = not self.book.provided(function_id)
            made: Call = call(function_id, data, answered, **options)
            refused = self.outcomes.get(key) == "function_not_found"
            expect(f"event {key} for {function_id} refused", refused, missing)
            return made

        return observed

    # -- the end ---------------------------------------------------------------------------------

    def leftovers(self) -> Iterator[str]:
        """What is left although everything has come to rest."""
        router = self.engine.router
        yield from (f"pending call of {call.function_id}" for call in router.pending.values())
        for session in self.engine.sessions.values():
            if session.active or session.outstanding or session.outbox:
                yield f"session {session.id}: {session.active} {session.outstanding}"
        yield from (f"event {key} is lost" for key in self.under_way)


def _describe(call: Call) -> None:
    assert call.caller is not None
    call.caller.metadata = msgspec.json.decode(call.data, type=WorkerMetadata)
    call.reply()
