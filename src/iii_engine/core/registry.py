"""Which functions exist and who answers them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final, TypeAlias

from msgspec import Raw, json

from iii_engine.core.departures import Departures
from iii_engine.core.sessions import Session
from iii_engine.core.standing import TRUSTED, Standing, standing_of
from iii_engine.core.tally import Tallies, Tally
from iii_sdk.protocol import NULL, RegisterFunction

if TYPE_CHECKING:
    from iii_engine.core.router import Call

log = logging.getLogger("iii.registry")

#: A function of an in-process module: takes the call and answers it, now or later.
LocalHandler: TypeAlias = "Callable[[Call], None]"


#: Makes the request and response format of a function when somebody asks for them.
Formats: TypeAlias = "Callable[[], tuple[Raw, Raw]]"


class Provider:
    """One worker's offer of a function, in the words of its latest registration.

    With a `handler` the worker only owns the registration: its calls are answered in process.
    """

    __slots__ = ("_formats", "description", "handler", "metadata", "session", "standing")

    def __init__(
        self,
        session: Session | None,
        description: str | None,
        metadata: Raw,
        formats: Formats | tuple[Raw, Raw],
        handler: LocalHandler | None = None,
        standing: Standing = TRUSTED,
    ) -> None:
        self.session = session
        self.standing = standing
        self.handler = handler
        self.description = description
        self.metadata = metadata
        self._formats = formats

    @property
    def request_format(self) -> Raw:
        return self._known_formats()[0]

    @property
    def response_format(self) -> Raw:
        return self._known_formats()[1]

    def _known_formats(self) -> tuple[Raw, Raw]:
        if not isinstance(self._formats, tuple):
            self._formats = self._formats()
        return self._formats


class Function:
    """A function id with everybody who provides it, oldest registration first.

    Other engines come before everything that is registered here, however new their registration:
    they are only called while nobody here provides the function.
    `target` is the provider when there is but one to choose: the common case needs no choice.
    `local` answers the calls in process: for a function of a module (`module` names it), and while
    the newest provider is one that is invoked outside the bus.
    `named` is what frames say of it.
    """

    __slots__ = (
        "id",
        "id_json",
        "local",
        "module",
        "named",
        "providers",
        "tally",
        "target",
        "turn",
    )

    def __init__(self, id: str, tally: Tally) -> None:
        self.id = id
        self.id_json = json.encode(id)
        self.named = f'"function_id":{self.id_json.decode()}'
        self.local: LocalHandler | None = None
        self.module: str | None = None
        self.providers: dict[Session | None, Provider] = {}
        self.target: Session | None = None
        self.turn = 0
        self.tally = tally

    @property
    def newest(self) -> Provider:
        return self.providers[next(reversed(self.providers))]

    @property
    def oldest(self) -> Provider:
        return next(iter(self.providers.values()))

    @property
    def is_here(self) -> bool:
        """Somebody on this engine provides it."""
        session = self.newest.session
        return session is None or not session.is_engine

    def put(self, provider: Provider) -> None:
        """Take the provider in as the newest; of other engines, the newest of those."""
        session = provider.session
        self.providers.pop(session, None)
        later = {}
        if session is not None and session.is_engine:
            later = {s: p for s, p in self.providers.items() if s is None or not s.is_engine}
            for key in later:
                del self.providers[key]
        self.providers[session] = provider
        self.providers.update(later)
        self.settle()

    def choose(self) -> Session | None:
        """The session that gets the next call: of the newest group, the least busy in turn."""
        if self.target is not None:
            return self.target
        newest = self.newest.session
        if newest is None:
            return None
        group = newest.group
        members = [
            s
            for s, provider in self.providers.items()
            if s is not None and (s is newest or s.group == group) and provider.handler is None
        ]
        least = min(s.active for s in members)
        idle = [s for s in members if s.active == least]
        self.turn += 1
        return idle[self.turn % len(idle)]

    def settle(self) -> None:
        """Recompute `target` and `local` after the providers changed."""
        near = [s for s in self.providers if s is None or not s.is_engine]
        choice = near or list(self.providers)
        self.target = choice[0] if len(choice) == 1 else None
        self.local = self.newest.handler


class Registry:
    """All functions. Ids of modules and the prefix `engine::` cannot be taken by workers."""

    def __init__(self) -> None:
        self._functions: dict[str, Function] = {}
        self.tallies = Tallies()
        self.departed = Departures()
        #: The function of an id, or None. Bound here, because every call asks.
        self.get: Final = self._functions.get
        self.on_change: Callable[[], None] = _ignore
        #: Called with the id of a function that got a provider, or got one anew.
        self.on_provider: Callable[[str], None] = _ignore_provider
        #: Called with the id of a function that got, lost or changed a provider.
        self.on_offer: Callable[[str], None] = _ignore_provider
        self._awaited: dict[str, list[Callable[[], None]]] = {}

    def __iter__(self) -> Iterator[Function]:
        return iter(self._functions.values())

    def __contains__(self, function_id: str) -> bool:
        return function_id in self._functions

    def reserved(self, function_id: str) -> bool:
        function = self._functions.get(function_id)
        return function_id.startswith("engine::") or (
            function is not None and function.module is not None
        )

    def add(
        self,
        session: Session,
        message: RegisterFunction,
        handler: LocalHandler | None = None,
        standing: Standing | None = None,
    ) -> bool:
        """Register for a worker; the newest registration leads. False when the id is reserved.

        A `handler` answers the calls in the worker's place. `standing` is that of another engine's
        worker; without it the session's own counts.
        """
        if self.reserved(message.id):
            log.warning("worker %s: function id %r is reserved", session.name, message.id)
            return False
        function = self._functions.get(message.id)
        fresh = function is None
        if function is None:
            function = self._functions[message.id] = Function(
                message.id, self.tallies.of(message.id)
            )
        else:
            _warn_of_takeover(function, session)
        formats = (message.request_format, message.response_format)
        if standing is None:
            standing = standing_of(session.access, message.id)
        function.put(
            Provider(session, message.description, message.metadata, formats, handler, standing)
        )
        session.offers(message.id)
        self.on_provider(message.id)
        self.on_offer(message.id)
        if fresh:
            self._appeared(message.id)
        return True

    def remove(self, session: Session, function_id: str) -> None:
        """Forget one worker's registration; other workers' are untouched."""
        session.withdraws(function_id)
        function = self._functions.get(function_id)
        provider = None if function is None else function.providers.pop(session, None)
        if function is None or provider is None:
            return
        if function.providers:
            function.settle()
        else:
            del self._functions[function_id]
            self.tallies.depart(function_id)
            self.departed.note(function_id, provider.standing.party)
            self.on_change()
        self.on_offer(function_id)

    def remove_all(self, session: Session) -> None:
        for function_id in list(session.functions):
            self.remove(session, function_id)

    def add_local(
        self,
        function_id: str,
        handler: LocalHandler,
        *,
        module: str,
        description: str | None = None,
        formats: Formats | tuple[Raw, Raw] = (NULL, NULL),
    ) -> None:
        """Register a function of a module; it takes the place of any worker's.

        `formats` may be a function: most are never asked for, and making them takes time.
        """
        function = Function(function_id, self.tallies.of(function_id))
        function.local = handler
        function.module = module
        function.providers[None] = Provider(None, description, NULL, formats)
        if (previous := self._functions.get(function_id)) is not None:
            for session in previous.providers:
                if session is not None:
                    session.withdraws(function_id)
                    log.warning("function %r of %s is now built in", function_id, session.name)
        self._functions[function_id] = function
        self.on_provider(function_id)
        self.on_offer(function_id)
        self._appeared(function_id)

    def await_provider(self, function_id: str, callback: Callable[[], None]) -> None:
        """Call back once when a function that is not there gets its first provider."""
        self._awaited.setdefault(function_id, []).append(callback)

    def stop_awaiting(self, function_id: str, callback: Callable[[], None]) -> None:
        callbacks = self._awaited.get(function_id, [])
        if callback in callbacks:
            callbacks.remove(callback)
            if not callbacks:
                del self._awaited[function_id]

    def _appeared(self, function_id: str) -> None:
        self.on_change()
        for callback in self._awaited.pop(function_id, ()):
            callback()

    def remove_local(self, function_id: str) -> None:
        function = self._functions.get(function_id)
        if function is not None and function.module is not None:
            del self._functions[function_id]
            self.tallies.depart(function_id)
            self.departed.note(function_id, "")
            self.on_change()
            self.on_offer(function_id)


def _warn_of_takeover(function: Function, session: Session) -> None:
    leader = function.newest.session
    if leader is None or leader is session or leader.is_engine or session.is_engine:
        return
    topic = f"takes over from {leader.id}"
    if leader.group == session.group or topic in session.warned or len(session.warned) >= 32:
        return
    session.warned.add(topic)
    log.warning(
        "function %r, and maybe others: %s takes over from %s",
        function.id,
        session.name,
        leader.name,
    )


def _ignore() -> None:
    pass


def _ignore_provider(function_id: str) -> None:
    pass
