"""Values that the disk gave back as no text: who reads them is told, and keeps his connection."""

from __future__ import annotations

import msgspec
import pytest

from iii_engine.core.stream_messages import Wanted
from iii_engine.core.turns import at_once
from iii_engine.modules.queue.job import Job, decode_job, encode_job, read_dead
from iii_engine.modules.state import listing, records, requests
from iii_engine.modules.stream import listing as stream_listing
from iii_engine.modules.stream import records as stream_records
from iii_engine.modules.stream import requests as stream_requests
from iii_engine.storage.base import StoreError, Transaction
from iii_engine.storage.memory import MemoryStore

DAMAGED = b'"a\xf6b"'


@pytest.fixture
def store() -> MemoryStore:
    """One whole and one damaged value in a scope and in a group."""
    store = MemoryStore()

    def fill(transaction: Transaction) -> None:
        for space in ("state/s", "stream/s/g"):
            transaction.put(space, "whole", '"ä"'.encode())
            transaction.put(space, "k", DAMAGED)

    store.write(fill, lambda _, error: None)
    return store


def test_a_damaged_value_is_refused_by_name(store: MemoryStore) -> None:
    asked = requests.RecordRequest("s", "k")
    with pytest.raises(StoreError, match="the value of 'k' in 'state/s' is damaged"):
        store.read(lambda t: listing.get(t, asked))
    item = stream_requests.ItemRequest("s", "g", "k")
    with pytest.raises(StoreError, match="the value of 'k' in 'stream/s/g' is damaged"):
        store.read(lambda t: stream_listing.item(t, item))
    joined = Wanted("a", "s", "g", "k")
    with pytest.raises(StoreError, match="is damaged"):
        store.read(lambda t: at_once(stream_listing.wanted(t, joined)))


@pytest.mark.parametrize("include_keys", [False, True])
def test_lists_leave_it_out(store: MemoryStore, include_keys: bool) -> None:
    asked = requests.ListRequest("s", include_keys=include_keys)
    (shown,) = msgspec.json.decode(store.read(lambda t: at_once(listing.values(t, asked))))
    assert (shown["value"] if include_keys else shown) == "ä"
    group = stream_requests.GroupRequest("s", "g")
    assert msgspec.json.decode(store.read(lambda t: at_once(stream_listing.items(t, group)))) == [
        "ä"
    ]


def test_an_update_is_refused_and_a_replacement_mends_it(store: MemoryStore) -> None:
    update = requests.UpdateRequest("s", "k", ops=[])
    with pytest.raises(StoreError, match="is damaged"):
        store.read(lambda t: records.update_record(t, update))
    replaced: list[records.Change | None] = []
    change = requests.SetRequest("s", "k", value=msgspec.Raw(b"1"))
    store.write(lambda t: records.set_record(t, change), lambda done, _: replaced.append(done))
    assert replaced[0] is not None
    assert replaced[0].answer == b'{"old_value":null,"new_value":1}'
    delete = stream_requests.DeleteRequest("s", "g", "k")
    store.write(lambda t: stream_records.delete_item(t, delete), lambda _, error: None)
    assert store.read(lambda t: t.get("stream/s/g", "k")) is None


def test_a_damaged_job_is_none() -> None:
    record = encode_job(Job(id="1", created_at=1, data=msgspec.Raw(DAMAGED)))
    with pytest.raises(msgspec.DecodeError):
        decode_job(record)
    dead = b'{"job":%b,"error":"","failed_at":1}' % record
    assert read_dead("1", dead).error.startswith("unreadable: ")
