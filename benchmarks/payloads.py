"""What the callers send, by name: JSON texts, taken in turn."""

from __future__ import annotations

import json
import random
from collections.abc import Callable

KEYS = 1024


def text(size: int) -> list[bytes]:
    """An object of exactly `size` bytes that holds one string."""
    frame = len('{"text":""}')
    return [b'{"text":"%b"}' % (b"x" * (size - frame))]


def mixed() -> list[bytes]:
    """Mostly small objects, in random order with some that no read, write or buffer holds whole."""
    sizes = [100] * 80 + [5_000] * 12 + [64 * 1024] * 4 + [300 * 1024, 1024 * 1024]
    random.Random(1).shuffle(sizes)
    return [text(size)[0] for size in sizes]


def structured() -> list[bytes]:
    """About 50 KB of the kind of JSON that tools return: records of strings, numbers and lists."""
    record = {
        "id": 1024,
        "name": "Ada Lovelace",
        "score": 0.8125,
        "active": True,
        "tags": ["engine", "notes", "number"],
        "place": {"city": "London", "position": [51.5072, -0.1276]},
        "note": None,
    }
    records = [{**record, "id": index} for index in range(300)]
    return [json.dumps({"records": records}, separators=(",", ":")).encode()]


def state_writes() -> list[bytes]:
    """`state::set` of 100-byte values under many keys."""
    value = text(100)[0].decode()
    return [
        f'{{"scope":"bench","key":"key{index}","value":{value}}}'.encode() for index in range(KEYS)
    ]


PAYLOADS: dict[str, Callable[[], list[bytes]]] = {
    "100 B": lambda: text(100),
    "64 KiB": lambda: text(64 * 1024),
    "1 MiB": lambda: text(1024 * 1024),
    "mixed": mixed,
    "structured": structured,
    "state": state_writes,
    "key": lambda: [b'{"id":"acme"}'],
}
