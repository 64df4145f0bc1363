"""Reading stored records tolerantly."""

from __future__ import annotations

from agentos.workers.memory.records import (
    MessageRef,
    read_entry,
    read_pointer,
    read_refs,
)


def test_gaps_are_filled() -> None:
    entry = read_entry({"content": "c", "role": "user", "timestamp": 5}, "key")
    assert entry is not None
    assert (entry.id, entry.importance, entry.confidence) == ("key", 0.5, 1.0)
    assert (entry.last_accessed, entry.access_count, entry.embedding) == (5, 0, None)


def test_other_key_styles_do_not_vanish() -> None:
    record = {"id": "i", "content": "c", "role": "user", "session_id": "s", "last_accessed": 7.0}
    entry = read_entry({**record, "access_count": 3, "embedding": [1, 0.5]})
    assert entry is not None
    assert (entry.session_id, entry.last_accessed, entry.access_count) == ("s", 7, 3)
    assert entry.embedding == [1.0, 0.5]


def test_nonsense_in_a_field_is_a_gap() -> None:
    entry = read_entry(
        {"content": "c", "role": "r", "importance": "high", "embedding": "x", "confidence": True}
    )
    assert entry is not None
    assert (entry.importance, entry.embedding, entry.confidence) == (0.5, None, 1.0)


def test_what_is_no_entry() -> None:
    for value in (None, "text", [], {"id": "x"}, {"content": "c"}, {"content": 1, "role": "r"}):
        assert read_entry(value) is None


def test_pointers() -> None:
    pointer = read_pointer({"id": "e1", "timestamp": 1})
    assert pointer is not None
    assert pointer.id == "e1"
    for value in (None, {}, {"id": ""}, {"id": "e1", "content": "c", "role": "r"}, 5):
        assert read_pointer(value) is None


def test_refs() -> None:
    session = {"messages": [{"id": " a ", "role": "user", "ts": 3}, None, {"role": 5}]}
    assert read_refs(session) == [
        MessageRef("a", "user", 3),
        MessageRef("", "", 0),
        MessageRef("", "", 0),
    ]
    for value in (None, {}, {"messages": None}):
        assert read_refs(value) == []
