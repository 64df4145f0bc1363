"""The decision about a connection, from its arrival to its acceptance or refusal."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from msgspec import Raw, Struct, json

from iii_engine.core.access import Access, Rules, open_access
from iii_engine.core.grants import GrantRefused, read_grant
from iii_engine.core.patient_call import PatientCall
from iii_sdk.protocol import ErrorBody

if TYPE_CHECKING:
    from iii_engine.core.engine import Engine
    from iii_engine.core.timers import Timer

log = logging.getLogger("iii.access")

AUTH_TIMEOUT_MS: Final = 10_000

#: Code of the error frame, and reason of the close.
AUTH_ERROR: Final = "AUTH_ERROR"

#: Refusals of one listener that may be delayed at the same time; further ones are told at once.
MAX_DELAYED: Final = 1000


class Arrival(Struct):
    """Who asks: header names in lower case, query values as lists, the address without a port."""

    headers: dict[str, str]
    query_params: dict[str, list[str]]
    ip_address: str


class Gate:
    """Who may connect through one listener. New `rules` apply to later arrivals."""

    def __init__(self, engine: Engine, rules: Rules) -> None:
        self.engine = engine
        self.rules = rules
        self.delayed = 0

    def admit(
        self,
        arrival: Arrival,
        accept: Callable[[Access], None],
        refuse: Callable[[ErrorBody], None],
    ) -> Admission:
        """Decide: exactly one of the two is called, once `start` of the admission was called."""
        return Admission(self, arrival, accept, refuse)


class Admission:
    """One arrival under examination."""

    def __init__(
        self,
        gate: Gate,
        arrival: Arrival,
        accept: Callable[[Access], None],
        refuse: Callable[[ErrorBody], None],
    ) -> None:
        self._gate = gate
        self._rules = gate.rules
        self._arrival = arrival
        self._accept = accept
        self._refuse = refuse
        self._call: PatientCall | None = None
        self._delay: Timer | None = None

    def start(self) -> None:
        """Ask the auth function, once; without one everybody is accepted at once."""
        engine, function_id = self._gate.engine, self._rules.auth_function_id
        if function_id is None:
            self._accept(open_access(self._rules, engine.registry))
            return
        self._call = PatientCall(
            engine, function_id, json.encode(self._arrival), self._answered, AUTH_TIMEOUT_MS
        )
        self._call.start()

    def cancel(self) -> None:
        """The connection is gone."""
        if self._call is not None:
            self._call.cancel()
        if self._delay is not None and not self._delay.cancelled:
            self._delay.cancel()
            self._gate.delayed -= 1

    def _answered(self, result: Raw, error: ErrorBody | None) -> None:
        if error is not None:
            self._turn_away(error.message)
            return
        try:
            grant = read_grant(result)
        except GrantRefused as refused:
            self._turn_away(str(refused))
        else:
            self._accept(Access(self._rules, grant, self._gate.engine.registry))

    def _turn_away(self, message: str) -> None:
        gate = self._gate
        address = self._arrival.ip_address
        seconds = gate.engine.refusals.delay(address)
        log.warning("refused a worker from %s: %s", address, message)
        error = ErrorBody(AUTH_ERROR, message)
        if seconds == 0 or gate.delayed >= MAX_DELAYED:
            self._refuse(error)
            return

        def tell() -> None:
            gate.delayed -= 1
            self._refuse(error)

        gate.delayed += 1
        self._delay = gate.engine.timers.after(seconds, tell)
