"""Functions that are invoked outside the bus: their registrations carry an `invocation`.

The core only keeps who registered what. A module judges each registration and makes the handler
that answers the calls; while there is no such module, every one of them is refused.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeAlias

from iii_engine.core.registry import LocalHandler, Registry
from iii_engine.core.services import Services
from iii_engine.core.sessions import Session
from iii_sdk.protocol import ErrorBody, RegisterFunction

log = logging.getLogger("iii.registry")

#: Refuses a registration later, for a reason that took time to find.
Refuse: TypeAlias = Callable[[ErrorBody], None]
#: Makes the handler that answers the calls of a registration, or says why there must be none.
Invoker: TypeAlias = "Callable[[RegisterFunction, Refuse], LocalHandler | ErrorBody]"


class _Offer:
    """One worker's registration; `refusal` says why it has no effect."""

    __slots__ = ("message", "refusal", "session")

    def __init__(self, session: Session, message: RegisterFunction) -> None:
        self.session = session
        self.message = message
        self.refusal: ErrorBody | None = None


class RemoteFunctions:
    """What was registered with an `invocation`, newest last, refused registrations included.

    A refused one is remembered, so that a call learns the reason, and judged again when another
    module takes over.
    """

    def __init__(self, registry: Registry, services: Services) -> None:
        self._registry = registry
        self._services = services
        self._invoker: Invoker | None = None
        self._offers: dict[str, dict[Session, _Offer]] = {}

    @property
    def installed(self) -> bool:
        """Is there a module that makes such calls?"""
        return self._invoker is not None

    def install(self, invoker: Invoker | None) -> None:
        """Have a module make the calls; None: nobody. What is registered is judged anew."""
        self._invoker = invoker
        for offer in [o for offers in self._offers.values() for o in offers.values()]:
            self._apply(offer, self._verdict(offer))

    def register(self, session: Session, message: RegisterFunction) -> None:
        """Take a registration with an `invocation`.

        One that is refused leaves what the worker registered under that id before as it was.
        """
        if self._registry.reserved(message.id):
            log.warning("worker %s: function id %r is reserved", session.name, message.id)
            return
        offer = _Offer(session, message)
        verdict = self._verdict(offer)
        if isinstance(verdict, ErrorBody) and message.id in session.functions:
            _warn(offer, verdict)
            return
        self.forget(session, message.id)
        self._offers.setdefault(message.id, {})[session] = offer
        self._apply(offer, verdict)

    def forget(self, session: Session, function_id: str) -> None:
        """The worker withdrew the function, or now answers it itself."""
        offers = self._offers.get(function_id)
        if offers is not None and offers.pop(session, None) is not None and not offers:
            del self._offers[function_id]

    def session_gone(self, session: Session) -> None:
        for function_id in [i for i, offers in self._offers.items() if session in offers]:
            self.forget(session, function_id)

    def missing(self, function_id: str) -> ErrorBody:
        """Why there is no such function."""
        offers = self._offers.get(function_id)
        if offers:
            newest = offers[next(reversed(offers))]
            if newest.refusal is not None:
                return newest.refusal
        return ErrorBody("function_not_found", f"Function {function_id} not found")

    def _verdict(self, offer: _Offer) -> LocalHandler | ErrorBody:
        message, access = offer.message, offer.session.access
        if access is not None and not access.may_register_endpoints():
            text = "it is an HTTP endpoint, and the worker's auth function does not allow it such"
            return ErrorBody("FORBIDDEN", f"{text} (allow_endpoint_registration)")
        if self._invoker is not None:
            return self._invoker(message, lambda error: self._refuse_later(offer, error))
        return ErrorBody(
            "function_not_found",
            f"Function {message.id} not found: it is HTTP-invoked, which needs the module "
            "iii-http-functions",
        )

    def _apply(self, offer: _Offer, verdict: LocalHandler | ErrorBody) -> None:
        if isinstance(verdict, ErrorBody):
            self._refuse(offer, verdict)
        elif self._registry.add(offer.session, offer.message, verdict):
            offer.refusal = None
            self._services.attach(offer.message.id)

    def _refuse_later(self, offer: _Offer, error: ErrorBody) -> None:
        if self._offers.get(offer.message.id, {}).get(offer.session) is offer:
            self._refuse(offer, error)

    def _refuse(self, offer: _Offer, error: ErrorBody) -> None:
        offer.refusal = error
        self._registry.remove(offer.session, offer.message.id)
        _warn(offer, error)


def _warn(offer: _Offer, error: ErrorBody) -> None:
    log.warning(
        "function %r of worker %s is refused: %s (%s)",
        offer.message.id,
        offer.session.name,
        error.message,
        error.code,
    )
