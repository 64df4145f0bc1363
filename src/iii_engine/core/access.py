"""What a connection may do."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from msgspec import Raw, json

from iii_engine.core.filters import Filter
from iii_engine.core.grants import OPEN, Grant
from iii_engine.core.names import Names
from iii_engine.core.registry import Registry
from iii_sdk.protocol import NULL, ErrorBody

if TYPE_CHECKING:
    from iii_engine.core.sessions import Session

#: Functions that every client needs to work at all.
INFRASTRUCTURE: Final = frozenset(
    {
        "engine::channels::create",
        "engine::workers::register",
        "engine::log::info",
        "engine::log::warn",
        "engine::log::error",
        "engine::log::debug",
        "engine::log::trace",
        "engine::baggage::get",
        "engine::baggage::set",
        "engine::baggage::get_all",
    }
)


#: Trigger types that concern everybody: `stream:join` decides who may subscribe, `log` reads what
#: all workers log. Only who is allowed them by name may bind them.
FAR_REACHING: Final = frozenset({"stream:join", "log"})


@dataclass(frozen=True)
class Rules:
    """The access control of one listener.

    Not `guarded`: its workers are trusted, and only the middleware stands before their calls.
    """

    guarded: bool = True
    auth_function_id: str | None = None
    expose: tuple[Filter, ...] = ()
    on_function: str | None = None
    on_trigger: str | None = None
    on_trigger_type: str | None = None
    middleware: str | None = None

    @property
    def gatekeepers(self) -> frozenset[str]:
        """The functions that the listener's rules depend on."""
        ids = (
            self.auth_function_id,
            self.on_function,
            self.on_trigger,
            self.on_trigger_type,
            self.middleware,
        )
        return frozenset(function_id for function_id in ids if function_id is not None)


class Access:
    """The permissions of one session; a session without one is trusted completely."""

    def __init__(self, rules: Rules, grant: Grant, registry: Registry) -> None:
        self.rules = rules
        self.grant = grant
        self.names = Names(grant.prefix)
        self._registry = registry

    def same_party(self, other: Access | None) -> bool:
        """Whether another session has this one's rights, and so may stand in for it.

        That is how a worker that comes back gets its ids from its old connection, and how two
        instances of a program share one.
        """
        return other is not None and (self.rules, self.grant) == (other.rules, other.grant)

    @cached_property
    def party(self) -> str:
        """Equal for equal rights, also those of another engine's sessions."""
        return sha256(json.encode((self.rules, self.grant), order="deterministic")).hexdigest()

    # -- calls -----------------------------------------------------------------------------------

    def refusal(self, function_id: str, later: bool = False) -> ErrorBody | None:
        """Why the function may not be called; None when it may.

        `later`: by a job, which may find another provider. What a guarded worker says of its own
        function opens no other's then.
        """
        if not self.rules.guarded:
            return None
        if function_id in self.grant.forbidden_functions:
            return _forbidden(function_id, "remove from rbac.forbidden_functions")
        if function_id in self.grant.allowed_functions or function_id in INFRASTRUCTURE:
            return None
        if self._exposed(function_id, later):
            return None
        return _forbidden(function_id, "add to rbac.expose_functions")

    def may_call(self, function_id: str) -> bool:
        return self.refusal(function_id) is None

    def _exposed(self, function_id: str, later: bool) -> bool:
        metadata: Raw = NULL
        if (function := self._registry.get(function_id)) is not None:
            provider = function.newest
            if not later or provider.standing.party == "" or provider.standing.granted:
                metadata = provider.metadata
        return any(rule.admits(function_id, metadata) for rule in self.rules.expose)

    # -- registrations ---------------------------------------------------------------------------

    def may_register_functions(self) -> bool:
        return not self.rules.guarded or self.grant.may_register_functions

    def may_register_endpoints(self) -> bool:
        """Whether the engine makes requests for its functions: from the engine's place in the
        network, and with any environment variable of the engine that they name.
        """
        return not self.rules.guarded or self.grant.may_register_endpoints

    def may_register_trigger_types(self) -> bool:
        return not self.rules.guarded or self.grant.may_register_trigger_types

    def may_bind(self, trigger_type: str) -> bool:
        """Whether triggers of a type may be registered."""
        if not self.rules.guarded:
            return True
        allowed = self.grant.allowed_trigger_types
        if allowed is None:
            return trigger_type not in FAR_REACHING
        return trigger_type in allowed

    def may_reach(self, function_id: str) -> bool:
        """Whether a trigger may call the function: it is the party's own, or may be called."""
        return self.may_call(function_id) or self.owns(function_id)

    def may_change(self, maker: Access | None) -> bool:
        """Whether what was made with these rights may be replaced or taken away."""
        return not self.rules.guarded or self.same_party(maker)

    def may_replace(self, owner: Session | None) -> bool:
        """Whether something of this owner may be replaced; None owns what outlived its maker."""
        return self.may_change(None if owner is None else owner.access)

    def owns(self, function_id: str) -> bool:
        """Whether only workers of this party provide the function, which is there."""
        function = self._registry.get(function_id)
        return function is not None and all(
            provider.standing.party == self.party for provider in function.providers.values()
        )


def open_access(rules: Rules, registry: Registry) -> Access:
    """The access of a listener without an auth function."""
    return Access(rules, OPEN, registry)


def _forbidden(function_id: str, advice: str) -> ErrorBody:
    return ErrorBody("FORBIDDEN", f"function '{function_id}' not allowed ({advice})")
