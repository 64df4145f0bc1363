"""`iii-kv`: the functions `kv_server::*`, also called `kv::*`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import Struct

from iii_engine.core.router import Call
from iii_engine.modules.base import Module
from iii_engine.modules.kv import entries
from iii_engine.modules.kv.options import ADAPTERS, PLACE, KvOptions
from iii_engine.modules.records.answers import Written
from iii_engine.modules.records.handlers import Writing, browsing, reading
from iii_engine.modules.stores import RecordStore
from iii_engine.storage.base import Store


class Deleted(Struct):
    """Schema: what was there, or null."""

    old_value: Any


class KvModule(Module[KvOptions]):
    """Entries live in the spaces `kv/<index>` of the engine's store, or on a server."""

    kind = "iii-kv"
    Options = KvOptions
    #: None until it has started.
    records: RecordStore | None = None

    @classmethod
    def check(cls, options: KvOptions) -> None:
        RecordStore(options.chosen, ADAPTERS, PLACE)

    async def start(self) -> None:
        self.records = RecordStore(self.options.chosen, ADAPTERS, PLACE)
        store = await self.records.open(self.host.store)
        self._offer_reads(store)
        self._offer_changes(store)

    async def reconfigure(self, options: KvOptions) -> bool:
        """In place while the entries stay where they are."""
        wanted = RecordStore(options.chosen, ADAPTERS, PLACE)
        if self.records is None or not self.records.same_as(wanted):
            return False
        self.options = options
        return True

    def status(self) -> str:
        return (self.records and self.records.problem) or super().status()

    async def stop(self) -> None:
        await super().stop()
        if self.records is not None:
            await self.records.close()

    def _offer_reads(self, store: Store) -> None:
        self._offer(
            "get",
            reading(store, "GET_ERROR", entries.EntryRequest, entries.get),
            "An entry, or null",
            entries.EntryRequest,
            Any,
        )
        self._offer(
            "list",
            browsing(store, "LIST_ERROR", entries.IndexRequest, entries.values),
            "The values of an index in insertion order",
            entries.IndexRequest,
            list[Any],
        )
        self._offer(
            "list_keys_with_prefix",
            browsing(store, "LIST_ERROR", entries.PrefixRequest, entries.indexes),
            "The names of the indexes that begin so and have entries, sorted",
            entries.PrefixRequest,
            list[str],
        )

    def _offer_changes(self, store: Store) -> None:
        self._offer(
            "set",
            Writing(store, "SET_ERROR", entries.SetRequest, entries.set_entry, answer=bytes),
            "Create or replace an entry; answers its old and new value",
            entries.SetRequest,
            Written,
        )
        self._offer(
            "update",
            Writing(
                store, "UPDATE_ERROR", entries.UpdateRequest, entries.update_entry, answer=bytes
            ),
            "Change an entry by the operations of `state::update`, atomically",
            entries.UpdateRequest,
            Written,
        )
        self._offer(
            "delete",
            Writing(store, "DELETE_ERROR", entries.EntryRequest, entries.delete, answer=bytes),
            "Remove an entry; answers what it was",
            entries.EntryRequest,
            Deleted,
        )

    def _offer(
        self,
        name: str,
        handler: Callable[[Call], None],
        description: str,
        request: type[Struct],
        response: Any,
    ) -> None:
        for service in ("kv_server", "kv"):
            self.offer(
                f"{service}::{name}",
                handler,
                description=description,
                request=request,
                response=response,
            )
