"""Which functions others rely on, and who may provide those.

The configuration names some (auth functions, middleware, hooks, what modules ask), and so do
triggers: their function, and what is asked before it is called. Whoever provides such a function
decides about others, or gets what is theirs.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Raw

from iii_engine.core.registry import Registry
from iii_engine.core.standing import Standing, party_of

if TYPE_CHECKING:
    from iii_engine.core.sessions import Session
    from iii_engine.core.triggers import Trigger

log = logging.getLogger("iii.access")

#: The fields of a config, of whatever trigger type, whose functions the engine calls by itself.
CALLED: Final = ("condition_function_id", "_condition_path", "middleware_function_ids")

#: Functions that a worker may have in the place of the engine's: `stream::get(orders)`.
_STAND_IN: Final = re.compile(r"stream::[a-z_]+\(")

_decode_fields: Final = msgspec.json.Decoder(dict[str, Raw]).decode
_decode_ids: Final = msgspec.json.Decoder(str | list[str] | None).decode


class _Relied:
    """Who relies on one function."""

    __slots__ = ("asked_by", "called_by", "guarded", "meant", "named_by")

    def __init__(self) -> None:
        self.named_by: set[object] = set()  # parts of the configuration
        self.asked_by: dict[Trigger, None] = {}  # before they call theirs
        self.called_by: dict[Trigger, None] = {}
        self.guarded: dict[Trigger, None] = {}  # those of both that guarded workers made
        #: The guarded party that provided it when a trigger came to name it.
        self.meant = ""

    def __bool__(self) -> bool:
        return bool(self.named_by or self.asked_by or self.called_by)

    def stranger_to(self, party: str) -> str | None:
        """Who cannot rely on that guarded party; None when all can."""
        if self.named_by:
            return "the configuration"
        askers = {party_of(trigger.access) for trigger in self.asked_by} - {party}
        if "" in askers:
            return "a trusted worker's trigger"
        if self.meant == party:
            return None
        if askers:
            return "another worker's trigger"
        if any(party_of(trigger.access) == "" for trigger in self.called_by):
            return "a trusted worker's trigger"
        return None


class Reliance:
    """Everything that depends on a function id, whoever provides it now.

    `take_away` ends a registration that has come to be in the wrong hands.
    """

    def __init__(self, registry: Registry, take_away: Callable[[Session, str], None]) -> None:
        self._registry = registry
        self._take_away = take_away
        self._relied: dict[str, _Relied] = {}
        self._named: dict[object, frozenset[str]] = {}
        self._asks: dict[Trigger, set[str]] = {}  # of the triggers that ask any

    # -- who relies ------------------------------------------------------------------------------

    def name(self, who: object, function_ids: Iterable[str]) -> None:
        """A part of the configuration relies on these functions, and on no others any more."""
        before, now = self._named.pop(who, frozenset()), frozenset(function_ids)
        if now:
            self._named[who] = now
        for function_id in before - now:
            self._relied[function_id].named_by.discard(who)
            self._tidy(function_id)
        for function_id in now - before:
            self._of(function_id).named_by.add(who)
        for function_id in now - before:
            self.judge(function_id)

    def heed(self, trigger: Trigger) -> None:
        """A trigger is there, or has come to be somebody else's."""
        asks = self._asks.get(trigger) or {asked for _, asked in named_functions(trigger.config)}
        if asks:
            self._asks[trigger] = asks
        named = {trigger.function_id, *asks}
        for function_id in named:
            relied = self._of(function_id)
            if function_id in asks:
                relied.asked_by[trigger] = None
            if function_id == trigger.function_id:
                relied.called_by[trigger] = None
            if trigger.access is not None:
                relied.guarded[trigger] = None
            if (function := self._registry.get(function_id)) is not None:
                relied.meant = function.newest.standing.party
        for function_id in named:
            self.judge(function_id)

    def forget(self, trigger: Trigger) -> None:
        """A trigger is gone."""
        for function_id in {trigger.function_id, *self._asks.pop(trigger, ())}:
            relied = self._relied[function_id]
            for triggers in (relied.asked_by, relied.called_by, relied.guarded):
                triggers.pop(trigger, None)
            self._tidy(function_id)

    def reaching(self, function_id: str) -> list[Trigger]:
        """The triggers of guarded makers that have the engine call this function."""
        relied = self._relied.get(function_id)
        return [] if relied is None else list(relied.guarded)

    def _of(self, function_id: str) -> _Relied:
        relied = self._relied.get(function_id)
        if relied is None:
            relied = self._relied[function_id] = _Relied()
        return relied

    def _tidy(self, function_id: str) -> None:
        if not self._relied[function_id]:
            del self._relied[function_id]

    # -- who provides ----------------------------------------------------------------------------

    def refusal(self, function_id: str, standing: Standing) -> str | None:
        """Why a worker may not come to provide a function; None when it may.

        A guarded one takes nothing that is somebody else's. What others rely on its auth function
        has to name: what the configuration names; what triggers ask that are not its party's; what
        triggers of trusted workers call, unless they were made while its party provided it; what a
        trusted worker had last, for whom calls and jobs may wait.
        """
        if self._registry.reserved(function_id):
            return "the id is reserved"
        if standing.party == "":
            return None
        function = self._registry.get(function_id)
        providers = () if function is None else function.providers.values()
        if any(provider.standing.party != standing.party for provider in providers):
            return "it belongs to another worker"
        if _STAND_IN.match(function_id) and not standing.granted:
            return "it would answer for everybody's stream; its auth function does not allow it"
        if (
            function is None
            and not standing.granted
            and self._registry.departed.trusted(function_id)
        ):
            return "a trusted worker that may return had it; its auth function does not allow it"
        return self._objection(function_id, standing)

    def _objection(self, function_id: str, standing: Standing) -> str | None:
        """Why those who rely on a function cannot rely on such a guarded worker."""
        relied = self._relied.get(function_id)
        if relied is None or standing.granted:
            return None
        who = relied.stranger_to(standing.party)
        if who is None:
            return None
        return f"{who} relies on it, and its auth function does not allow it by name"

    def judge(self, function_id: str) -> None:
        """Take a function from those who may not provide it (any more).

        To be called when somebody comes to rely on it, and when it got a provider. A guarded worker
        never provides it beside a trusted one, or it would be who is left when that goes.
        """
        function = self._registry.get(function_id)
        if function is None or function.module is not None:
            return
        if not (function.oldest.standing.party or function.newest.standing.party):
            self._mean_trusted(function_id)
            return  # a new one is at one end: all others are trusted as well
        providers = list(function.providers.values())
        trusted = any(provider.standing.party == "" for provider in providers)
        if trusted:
            self._mean_trusted(function_id)
        for provider in providers:
            session, standing = provider.session, provider.standing
            if session is None or standing.party == "":
                continue
            reason = self._objection(function_id, standing)
            if trusted:
                reason = "a trusted worker provides it"
            if reason is not None:
                text = "worker %s: function %r is taken from it: %s"
                log.warning(text, session.name, function_id, reason)
                self._take_away(session, function_id)

    def _mean_trusted(self, function_id: str) -> None:
        relied = self._relied.get(function_id)
        if relied is not None:
            relied.meant = ""


def named_functions(config: Raw) -> Iterator[tuple[str, str]]:
    """The functions that a trigger's config has the engine call, each after the field's name.

    The fields are read one by one: what is wrong with one must not hide another.
    """
    try:
        fields = _decode_fields(config)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return  # no type of ours takes a config that is no object
    for name in CALLED:
        try:
            value = _decode_ids(fields[name]) if name in fields else None
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue  # nor a field that is neither an id nor several
        for function_id in [value] if isinstance(value, str) else value or ():
            if function_id:
                yield name, function_id
