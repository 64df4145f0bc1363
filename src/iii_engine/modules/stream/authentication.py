"""Asking a function of a worker who may watch streams."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

import msgspec
from msgspec import Raw, Struct

from iii_engine.core.engine import Engine
from iii_engine.core.patient_call import PatientCall
from iii_engine.net.handshake import Head
from iii_sdk.protocol import ErrorBody

log = logging.getLogger("iii.streams")

TIMEOUT_MS: Final = 10_000


class _Grant(Struct):
    context: Raw
    unauthorized: bool = False


def asking(
    engine: Engine, function_id: str
) -> Callable[[Head, Callable[[Raw | None], None]], Callable[[], None]]:
    """Asks about an upgrade: the context of the client is decided, or None, which refuses it."""

    def ask(head: Head, decided: Callable[[Raw | None], None]) -> Callable[[], None]:
        def answered(result: Raw, error: ErrorBody | None) -> None:
            context = None if error is not None else context_of(result)
            if context is None:
                reason = "no context" if error is None else f"{error.code}: {error.message}"
                log.warning("%s refuses a client at %s: %s", function_id, head.addr, reason)
            decided(context)

        call = PatientCall(engine, function_id, msgspec.json.encode(head), answered, TIMEOUT_MS)
        call.start()
        return call.cancel

    return ask


def context_of(result: Raw) -> Raw | None:
    """The context in an answer; None for an answer that refuses, and for one that is none."""
    try:
        grant = msgspec.json.decode(result, type=_Grant)
    except msgspec.DecodeError:
        return None
    return None if grant.unauthorized else grant.context.copy()
