"""Sessions: ordered references to entries; listing, rewriting, cleaning.

A session is rewritten only if its messages are still those that were read.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from msgspec import Struct

from agentos.kernel.ids import require_id
from agentos.workers.memory.records import MessageRef, read_refs, sessions_scope
from agentos.workers.memory.store import ATTEMPTS, to_json, write
from iii_sdk import Bus, Conflict
from iii_sdk.state import Op, set_

#: A session record as it is stored; other workers keep fields of their own in it.
Session = dict[str, object]


class ListSessions(Struct, rename="camel"):
    """Of which agent."""

    agent_id: str = "default"


async def list_sessions(request: ListSessions, bus: Bus) -> list[Session]:
    """The session records of an agent."""
    agent_id = require_id(request.agent_id, "agentId")
    return await bus.state.list(sessions_scope(agent_id), Session)


def rewrite_op(
    agent_id: str,
    session_id: str,
    read: Session,
    refs: Sequence[MessageRef],
    fields: dict[str, object],
) -> Op:
    """Replace the messages of a session and set `fields`, if nobody changed the messages."""
    sets = [set_("messages", [to_json(ref) for ref in refs])]
    sets += [set_(name, value) for name, value in fields.items()]
    return {
        "op": "update",
        "scope": sessions_scope(agent_id),
        "key": session_id,
        "ops": sets,
        "expect": {"messages": read.get("messages")},
    }


async def rewrite_refs(
    bus: Bus,
    agent_id: str,
    concerned: Collection[str],
    change: Callable[[MessageRef], MessageRef | None],
) -> None:
    """Pass the references to the `concerned` entries through `change`, in all sessions.

    None takes a reference out.
    """
    if not concerned:
        return
    for session_id, session in await bus.state.items(sessions_scope(agent_id)):
        await _rewrite_one(bus, agent_id, session_id, session, concerned, change)


async def _rewrite_one(
    bus: Bus,
    agent_id: str,
    session_id: str,
    session: Session | None,
    concerned: Collection[str],
    change: Callable[[MessageRef], MessageRef | None],
) -> None:
    for _ in range(ATTEMPTS):
        refs = read_refs(session)
        if session is None or not any(ref.id in concerned for ref in refs):
            return
        changed = [change(ref) if ref.id in concerned else ref for ref in refs]
        kept = [ref for ref in changed if ref is not None]
        op = rewrite_op(agent_id, session_id, session, kept, {})
        if await write(bus, [op]):
            return
        session = await bus.state.get(sessions_scope(agent_id), session_id, Session)
    raise Conflict(f"session {session_id} changes too fast to be cleaned")


async def drop_refs(bus: Bus, agent_id: str, entry_ids: Collection[str]) -> None:
    """Take references to entries that are gone out of all sessions."""
    await rewrite_refs(bus, agent_id, frozenset(entry_ids), lambda ref: None)
