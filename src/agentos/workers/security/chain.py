"""The audit chain as data: the hash of an entry, and whether a list of entries is whole. Pure."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable

import msgspec
from msgspec import UNSET, Struct, UnsetType

from agentos.workers.security.canonical import canonical_json

#: `prevHash` of the first entry.
ZEROS = "0" * 64


class Entry(Struct, rename="camel"):
    """One audit record. `timestamp` in epoch ms; older chains have no `seq`."""

    id: str
    timestamp: int
    type: str
    agent_id: str | None = None
    detail: dict[str, object] = {}
    prev_hash: str = ZEROS
    hash: str = ""
    seq: int | UnsetType = UNSET


class Head(Struct):
    """The record `__latest`: the entry that the next one links to."""

    hash: str
    id: str
    timestamp: int
    seq: int = 0


class Link(Struct):
    """What checking the chain keeps of an entry. `seq` is None in older chains."""

    id: str
    seq: int | None
    timestamp: int
    prev_hash: str
    hash: str
    intact: bool


def entry_hash(entry: Entry, key: bytes) -> str:
    """HMAC-SHA256 over the canonical entry followed by the text of `prevHash`; lower-case hex."""
    signed: dict[str, object] = {
        "agentId": entry.agent_id,
        "detail": entry.detail,
        "id": entry.id,
        "prevHash": entry.prev_hash,
        "timestamp": entry.timestamp,
        "type": entry.type,
    }
    if entry.seq is not UNSET:
        signed["seq"] = entry.seq
    message = canonical_json(signed) + entry.prev_hash.encode()
    return hmac.new(key, message, hashlib.sha256).hexdigest()


def read_link(record: dict[str, object], key: bytes) -> Link:
    """A stored record without its content, and whether its hash is what the content hashes to."""
    try:
        entry = msgspec.convert(record, Entry)
    except msgspec.ValidationError:  # somebody has been at it
        before, own = str(record.get("prevHash")), str(record.get("hash"))
        return Link(str(record.get("id")), None, 0, before, own, intact=False)
    return Link(
        id=entry.id,
        seq=None if entry.seq is UNSET else entry.seq,
        timestamp=entry.timestamp,
        prev_hash=entry.prev_hash,
        hash=entry.hash,
        intact=hmac.compare_digest(entry_hash(entry, key).encode(), entry.hash.encode()),
    )


def in_order(links: Iterable[Link]) -> list[Link]:
    """First the unnumbered ones along their links, what hangs nowhere by time; then by `seq`."""
    numbered: list[Link] = []
    by_previous: dict[str, Link] = {}
    loose: list[Link] = []
    for item in links:
        if item.seq is not None:
            numbered.append(item)
        elif item.prev_hash in by_previous:
            loose.append(item)
        else:
            by_previous[item.prev_hash] = item
    followed: list[Link] = []
    step = by_previous.pop(ZEROS, None)
    while step is not None:
        followed.append(step)
        step = by_previous.pop(step.hash, None)
    loose.extend(by_previous.values())
    loose.sort(key=lambda item: item.timestamp)
    numbered.sort(key=lambda item: (item.seq or 0, item.timestamp))
    return followed + loose + numbered


def violations(links: Iterable[Link], head: Head | None) -> list[str]:
    """What is wrong with the chain, in its order; empty when it is whole and ends at `head`."""
    found: list[str] = []
    expected = ZEROS
    for item in in_order(links):
        if item.prev_hash != expected:
            found.append(f"Chain break at {item.id}: expected {expected}, got {item.prev_hash}")
        if not item.intact:
            found.append(f"Tampered entry {item.id}: hash mismatch")
        expected = item.hash
    if expected != (ZEROS if head is None else head.hash):
        found.append("Truncated chain: head mismatch")
    return found
