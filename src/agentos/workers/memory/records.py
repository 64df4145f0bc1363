"""The stored records, and reading them tolerantly.

State scope `memory:<agentId>` holds entries under their ids and, under the hash of each content,
a pointer to the entry. Older deployments wrote other key styles; nothing of theirs may vanish.
"""

from __future__ import annotations

import math
import re
import uuid
from collections.abc import Mapping

import msgspec
from msgspec import Struct

#: Length of the pointer keys of older deployments.
SHORT_HASH = 16

_CAPITAL = re.compile(r"_([a-z])")


class Entry(Struct, rename="camel"):
    """One remembered text. Times in epoch ms; importance and confidence 0..1."""

    id: str
    agent_id: str
    content: str
    role: str
    timestamp: int
    embedding: list[float] | None = None
    session_id: str | None = None
    importance: float = 0.5
    hash: str = ""
    confidence: float = 1.0
    access_count: int = 0
    last_accessed: int = 0


class Pointer(Struct):
    """Leads from the hash of a content to its entry."""

    id: str
    timestamp: int = 0


class MessageRef(Struct):
    """A turn of a session: the id of the entry that holds its text."""

    id: str
    role: str
    timestamp: int


def new_id() -> str:
    """A fresh entry id."""
    return str(uuid.uuid4())


def memory_scope(agent_id: str) -> str:
    """Where the entries and pointers of an agent are."""
    return f"memory:{agent_id}"


def sessions_scope(agent_id: str) -> str:
    """Where the sessions of an agent are."""
    return f"sessions:{agent_id}"


def _camel(key: str) -> str:
    return _CAPITAL.sub(lambda match: match[1].upper(), key)


def _number(value: object, default: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return default
    return float(value)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _vector(value: object) -> list[float] | None:
    try:
        vector = msgspec.convert(value, list[float] | None)
    except msgspec.ValidationError:
        return None
    return vector or None


def read_entry(value: object, key: str = "") -> Entry | None:
    """The entry in a stored value, its gaps filled; None when it is something else.

    An entry has a content and a role. `key` is its key in state, for records without an id.
    """
    if not isinstance(value, Mapping):
        return None
    record = {_camel(name): item for name, item in value.items()}
    content, role = record.get("content"), record.get("role")
    if not isinstance(content, str) or not isinstance(role, str):
        return None
    timestamp = int(_number(record.get("timestamp"), 0))
    return Entry(
        id=_text(record.get("id")) or key,
        agent_id=_text(record.get("agentId")),
        content=content,
        role=role,
        timestamp=timestamp,
        embedding=_vector(record.get("embedding")),
        session_id=_text(record.get("sessionId")) or None,
        importance=_number(record.get("importance"), 0.5),
        hash=_text(record.get("hash")),
        confidence=_number(record.get("confidence"), 1.0),
        access_count=int(_number(record.get("accessCount"), 0)),
        last_accessed=int(_number(record.get("lastAccessed"), timestamp)),
    )


def read_pointer(value: object) -> Pointer | None:
    """The pointer in a stored value; None when it is an entry, absent or something else."""
    if not isinstance(value, Mapping) or "content" in value:
        return None
    target = value.get("id")
    return Pointer(target) if isinstance(target, str) and target else None


def read_refs(value: object) -> list[MessageRef]:
    """The messages of a session record; what is no message has a blank id."""
    if not isinstance(value, Mapping):
        return []
    messages = value.get("messages")
    if not isinstance(messages, list):
        return []
    return [_read_ref(item) for item in messages]


def _read_ref(item: object) -> MessageRef:
    if not isinstance(item, Mapping):
        return MessageRef("", "", 0)
    timestamp = item.get("timestamp", item.get("ts"))
    role = _text(item.get("role"))
    return MessageRef(_text(item.get("id")).strip(), role, int(_number(timestamp, 0)))
