"""`iii-state`: the functions `state::*` and the trigger type `state`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from iii_engine.core.router import Call
from iii_engine.modules.base import Module
from iii_engine.modules.state import answers, listing, records, requests
from iii_engine.modules.state.events import StateEvents
from iii_engine.modules.state.handlers import Handlers
from iii_engine.modules.state.options import ADAPTERS, PLACE, StateOptions
from iii_engine.modules.stores import RecordStore

if TYPE_CHECKING:
    from iii_engine.modules.state.remote import RemoteState


class StateModule(Module[StateOptions]):
    """Records live in the spaces `state/<scope>` of the engine's store, on a server, or in another
    engine."""

    kind = "iii-state"
    Options = StateOptions
    #: None until it has started.
    records: RecordStore | None = None
    #: The records of another engine, when they are there.
    remote: RemoteState | None = None

    @classmethod
    def check(cls, options: StateOptions) -> None:
        RecordStore(options.adapter, ADAPTERS, PLACE)

    async def start(self) -> None:
        self.records = RecordStore(self.options.adapter, ADAPTERS, PLACE)
        store = await self.records.open(self.host.store)
        self.events = StateEvents(self.engine)
        self.handlers = Handlers(store, self.events)
        if self.records.bridge_url is not None:
            from iii_engine.modules.state.remote import RemoteState

            self.remote = RemoteState(self.engine, self.records.bridge_url, self.events)
        self._offer_changes()
        self._offer_several()
        self._offer_reads()
        self.offer_type(self.events.kind)

    async def reconfigure(self, options: StateOptions) -> bool:
        """In place while the records stay where they are."""
        wanted = RecordStore(options.adapter, ADAPTERS, PLACE)
        if self.records is None or not self.records.same_as(wanted):
            return False
        self.options = options
        return True

    def status(self) -> str:
        if self.remote is not None:
            return self.remote.status
        return (self.records and self.records.problem) or super().status()

    async def stop(self) -> None:
        await super().stop()
        if self.remote is not None:
            await self.remote.close()
        if self.records is not None:
            await self.records.close()

    def offer(self, function_id: str, handler: Callable[[Call], None], **about: Any) -> None:
        """Another engine that has the records does the work, whatever the function."""
        if self.remote is not None:
            handler = self.remote.handler(function_id)
        super().offer(function_id, handler, **about)

    def _offer_changes(self) -> None:
        changing = self.handlers.changing
        self.offer(
            "state::set",
            changing("SET_ERROR", requests.SetRequest, records.set_record),
            description="Create or replace a record; answers its old and new value",
            request=requests.SetRequest,
            response=answers.Changed,
        )
        self.offer(
            "state::update",
            changing("UPDATE_ERROR", requests.UpdateRequest, records.update_record),
            description="Change a record by operations, atomically",
            request=requests.UpdateRequest,
            response=answers.Changed,
        )
        self.offer(
            "state::delete",
            changing("DELETE_ERROR", requests.DeleteRequest, records.delete_record),
            description="Remove a record; answers what it was",
            request=requests.DeleteRequest,
            response=Any,
        )

    def _offer_several(self) -> None:
        self.offer(
            "state::transact",
            self.handlers.transacting("TRANSACT_ERROR"),
            description="Make several changes together or not at all",
            request=requests.TransactRequest,
            response=answers.Transacted,
        )
        self.offer(
            "state::delete_scope",
            self.handlers.deleting_scope("DELETE_ERROR"),
            description="Remove all records of a scope; triggers are not told",
            request=requests.ScopeRequest,
            response=answers.Deleted,
        )

    def _offer_reads(self) -> None:
        reading, browsing = self.handlers.reading, self.handlers.browsing
        self.offer(
            "state::get",
            reading("GET_ERROR", requests.RecordRequest, listing.get),
            description="A record, or null",
            request=requests.RecordRequest,
            response=Any,
        )
        self.offer(
            "state::list",
            browsing("LIST_ERROR", requests.ListRequest, listing.values),
            description="The values of a scope in insertion order",
            request=requests.ListRequest,
            response=list[Any],
        )
        self.offer(
            "state::list_keys",
            browsing("LIST_ERROR", requests.ScopeRequest, listing.keys),
            description="The keys of a scope in insertion order",
            request=requests.ScopeRequest,
            response=answers.Keys,
        )
        self.offer(
            "state::list_groups",
            browsing("LIST_GROUPS_ERROR", requests.ListGroupsRequest, listing.groups),
            description="The scopes that have records",
            request=requests.ListGroupsRequest,
            response=answers.Groups,
        )
