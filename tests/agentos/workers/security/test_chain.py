"""Hashing and checking the audit chain."""

from __future__ import annotations

import random

import msgspec
from msgspec import UNSET

from agentos.workers.security.chain import (
    ZEROS,
    Entry,
    Head,
    Link,
    entry_hash,
    in_order,
    read_link,
    violations,
)

KEY = b"unit-test-key"


def chain(length: int, numbered: bool = True) -> list[Entry]:
    entries: list[Entry] = []
    before = ZEROS
    for i in range(1, length + 1):
        entry = Entry(f"e{i}", 1000, "t", None, {"i": i}, before, seq=i if numbered else UNSET)
        before = entry.hash = entry_hash(entry, KEY)
        entries.append(entry)
    return entries


def links(entries: list[Entry]) -> list[Link]:
    return [read_link(msgspec.to_builtins(entry), KEY) for entry in entries]


def head(entries: list[Entry]) -> Head:
    return Head(entries[-1].hash, entries[-1].id, 1000)


def test_security_case_5_known_hashes() -> None:
    first = Entry("e1", 1700000000000, "test_event", "a1", {"key": "value"})
    first.hash = entry_hash(first, KEY)
    assert first.hash == "9cba27991b988fef266d199134ab5b92537781f6c6477412b0355fa876964862"
    second = Entry("e2", 1700000000001, "test_event", None, {}, first.hash)
    assert entry_hash(second, KEY) == (
        "ef6771f712856546869323f77d51cfbfba36ba4d386ab53cccab792619c8787a"
    )


def test_seq_is_part_of_the_hash() -> None:
    one, two = Entry("e", 1, "t", seq=1), Entry("e", 1, "t", seq=2)
    assert entry_hash(one, KEY) != entry_hash(two, KEY)


def test_security_case_6_empty_and_whole() -> None:
    assert violations([], None) == []
    entries = chain(20)
    assert violations(links(entries), head(entries)) == []


def test_security_case_6_changed_detail() -> None:
    entries = chain(3)
    entries[1].detail = {"i": 99}
    assert violations(links(entries), head(entries)) == ["Tampered entry e2: hash mismatch"]


def test_security_case_6_changed_link() -> None:
    entries = chain(3)
    true, entries[2].prev_hash = entries[2].prev_hash, "f" * 64
    found = violations(links(entries), head(entries))
    assert found[0] == f"Chain break at e3: expected {true}, got {'f' * 64}"


def test_removed_entries_show() -> None:
    entries = chain(5)
    assert violations(links(entries[:4]), head(entries)) == ["Truncated chain: head mismatch"]
    assert "Chain break at e3" in violations(links(entries[:1] + entries[2:]), head(entries))[0]
    assert violations(links(entries), None) == ["Truncated chain: head mismatch"]
    assert violations([], head(entries)) == ["Truncated chain: head mismatch"]


def test_a_record_of_another_shape_is_tampered() -> None:
    record = {"id": "x", "prevHash": ZEROS, "hash": "h", "detail": "no object"}
    assert violations([read_link(record, KEY)], Head("h", "x", 0)) == [
        "Tampered entry x: hash mismatch"
    ]


def test_order_does_not_depend_on_time_or_listing() -> None:
    for numbered in (True, False):
        entries = chain(30, numbered)
        shuffled = links(entries)
        random.Random(1).shuffle(shuffled)
        assert violations(shuffled, head(entries)) == []


def test_unnumbered_entries_come_first() -> None:
    old, new = chain(2, numbered=False), chain(2)
    assert [link.seq for link in in_order(links(new + old))] == [None, None, 1, 2]


def test_a_chain_that_bites_its_tail_ends() -> None:
    loop = [Link("a", None, 1, ZEROS, "h1", True), Link("b", None, 2, "h1", ZEROS, True)]
    assert len(in_order(loop)) == 2
    twins = [Link("a", None, 2, ZEROS, "h", True), Link("b", None, 1, ZEROS, "h", True)]
    assert len(in_order(twins)) == 2
