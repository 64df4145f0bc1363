"""How often a call has gone on from engine to engine: one that goes round in a circle ends.

The count is in the metadata, which workers do not hand on: so a worker between two bridges begins
anew. The first way over a bridge is not counted, and what most calls carry is not changed.
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Raw

from iii_engine.core.engine import Engine
from iii_engine.core.router import Call
from iii_engine.core.sessions import Session
from iii_sdk.errors import BusError
from iii_sdk.protocol import is_null

#: What engines call each other.
NAME: Final = "iii-bridge"

MEMBER: Final = "iii_bridge_hops"
MOST_HOPS: Final = 8
LOOP: Final = "bridge_loop"


def onward(call: Call) -> Raw:
    """The metadata with which a call goes on to another engine. Raises `bridge_error`."""
    return _counted(call.metadata, call.caller is not None and _is_bridge(call.caller))


def onward_to(engine: Engine, function_id: str, metadata: Raw) -> Raw:
    """The same for a call that came over a bridge, when it may go on over another one."""
    function = engine.registry.get(function_id)
    goes_on = function is not None and (
        function.module is not None
        or any(session is not None and _is_bridge(session) for session in function.providers)
    )
    return _counted(metadata, goes_on)


def _is_bridge(session: Session) -> bool:
    return session.metadata.name == NAME


def _counted(metadata: Raw, goes_on: bool) -> Raw:
    """Count one more, if that has begun or it now `goes_on`; what is no object stays as it is."""
    if not goes_on and MEMBER.encode() not in bytes(metadata):
        return metadata
    try:
        members = {} if is_null(metadata) else msgspec.json.decode(metadata, type=dict[str, Raw])
        hops = msgspec.json.decode(members.get(MEMBER, b"1"), type=int) + 1
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return metadata
    if hops > MOST_HOPS:
        text = (
            f"the call went on from engine to engine {MOST_HOPS} times: they bridge it in a circle"
        )
        error = BusError(text, code="bridge_error")
        error.details = {"code": LOOP}
        raise error
    members[MEMBER] = Raw(b"%d" % hops)
    return Raw(msgspec.json.encode(members))
