"""The access control of a listener in the config file."""

from __future__ import annotations

from msgspec import Struct, field

from iii_engine.core.access import Rules
from iii_engine.core.filters import Filter, read_filter


class ByMetadata(Struct, forbid_unknown_fields=True):
    """Functions whose metadata has all of these; a value may be a text `match("…")`."""

    #: Values, or texts `match("…")`.
    metadata: dict[str, object]


class RbacOptions(Struct, forbid_unknown_fields=True):
    """Who may connect and what is exposed. Each entry of `expose_functions` is `match("pattern")`
    on the id, or `{metadata: {key: value}}`.

    A guarded worker takes nothing that another party has: no function, route, trigger or type of
    it. A function that a trusted worker registers too it loses. What others rely on it may only
    have when its auth function names it in `allowed_functions` (on a listener without one: never),
    also while nobody provides it: functions that the configuration names (of any listener's access
    control, `middleware`, `not_found_function`, `auth_function`, of alerts), those that triggers
    of other parties ask (conditions, middleware), and those that triggers of trusted workers call.
    It keeps what it provided when another's trigger came to ask it, or a trusted one to call it.
    Other ids go to who comes first; `function_registration_prefix` keeps parties apart.

    What its triggers have the engine call, it must be allowed to call. But triggers of most
    types tell it what others do (`state`, `stream`, `subscribe`, `durable:subscriber`, the events
    of `engine::`): where that matters, let the auth function answer `allowed_trigger_types`. The
    types `log` and `stream:join`, and functions `stream::<operation>(<stream>)`, it may only have
    when the auth function names them, in `allowed_trigger_types` and `allowed_functions`. Functions
    that are HTTP endpoints (`invocation`) it may only have when the auth function answers
    `allow_endpoint_registration`: the engine makes their requests, from its place in the network
    and with any environment variable that they name."""

    #: Decides about each connection. It has to be a trusted worker's, or one's that is allowed it
    #: by name, as the hooks below and the listener's middleware have to.
    auth_function_id: str | None = None
    #: `match("pattern")` on the id, or `{metadata: {key: value}}`.
    expose_functions: list[str | ByMetadata] = field(default_factory=list)
    #: Is asked before a trigger is registered.
    on_trigger_registration_function_id: str | None = None
    #: Is asked before a trigger type is registered.
    on_trigger_type_registration_function_id: str | None = None
    #: Is asked before a function is registered.
    on_function_registration_function_id: str | None = None

    def __post_init__(self) -> None:
        self.filters()

    def filters(self) -> tuple[Filter, ...]:
        """What is exposed. Raises `ValueError` that names the entry."""
        found: list[Filter] = []
        for index, entry in enumerate(self.expose_functions):
            try:
                found.append(read_filter(entry if isinstance(entry, str) else entry.metadata))
            except ValueError as error:
                raise ValueError(f"expose_functions[{index}]: {error}") from None
        return tuple(found)


def make_rules(rbac: RbacOptions | None, middleware: str | None) -> Rules | None:
    """The rules of a listener; None for one that trusts its workers."""
    if rbac is None:
        return None if middleware is None else Rules(guarded=False, middleware=middleware)
    return Rules(
        auth_function_id=rbac.auth_function_id,
        expose=rbac.filters(),
        on_function=rbac.on_function_registration_function_id,
        on_trigger=rbac.on_trigger_registration_function_id,
        on_trigger_type=rbac.on_trigger_type_registration_function_id,
        middleware=middleware,
    )
