"""No guarded worker stands behind a trusted one: it would be called whenever that is away."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from iii_engine.core.registry import Provider
from iii_sdk.protocol import UnregisterFunction

if TYPE_CHECKING:
    from iii_engine.core.engine import Engine

log = logging.getLogger("iii.access")


def drop_substitutes(engine: Engine, function_id: str) -> None:
    """Take a function from guarded workers if there is a trusted one that provides it.

    To be called when the function got a provider: a guarded one may have been first.
    """
    function = engine.registry.get(function_id)
    if function is None or all(map(_is_guarded, function.providers.values())):
        return
    for session, provider in list(function.providers.items()):
        if session is not None and not session.is_engine and _is_guarded(provider):
            engine.declarations.apply(session, UnregisterFunction(function_id))
            text = "worker %s: function %r is not its own any more: a trusted worker has it"
            log.warning(text, session.name, function_id)


def _is_guarded(provider: Provider) -> bool:
    session = provider.session
    if session is None:
        return False
    if session.is_engine:
        return bool(provider.party)
    return session.access is not None and session.access.rules.guarded
