"""`iii-stream`: the functions `stream::*`, its trigger types, and the port for clients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from iii_engine.core.stream_messages import Event
from iii_engine.modules.adapters import NatsConfig, RedisConfig
from iii_engine.modules.base import Module, changed
from iii_engine.modules.records.answers import Written
from iii_engine.modules.records.handlers import browsing, reading
from iii_engine.modules.stores import Choice, RecordStore
from iii_engine.modules.stream import answers, listing, records, requests
from iii_engine.modules.stream.authentication import asking
from iii_engine.modules.stream.handlers import Handlers
from iii_engine.modules.stream.hub import TOPIC, Hub
from iii_engine.modules.stream.options import ADAPTERS, PLACE, StreamOptions
from iii_engine.net.broadcast import Message
from iii_engine.net.stream_listener import StreamListener
from iii_engine.storage.base import Store

if TYPE_CHECKING:
    from iii_engine.modules.stream.remote import RemoteStreams
    from iii_engine.modules.stream.shared import SharedEvents


class StreamModule(Module[StreamOptions]):
    """Items live in the spaces `stream/<stream>/<group>` of the engine's store, on a server that
    several engines share, or in another engine."""

    kind = "iii-stream"
    Options = StreamOptions
    #: None until it has started.
    records: RecordStore | None = None
    #: The streams of another engine, when they are there.
    remote: RemoteStreams | None = None
    #: The way to the other engines at the server that keeps the items.
    shared: SharedEvents | None = None

    @classmethod
    def check(cls, options: StreamOptions) -> None:
        RecordStore(options.adapter, ADAPTERS, PLACE)

    async def start(self) -> None:
        self.records = RecordStore(self.options.adapter, ADAPTERS, PLACE)
        store = await self.records.open(self.host.store)
        self.hub = Hub(self.engine, store)
        self.handlers = self._handlers(store, self.records.bridge_url)
        await self._share(self.records.choice)
        self.listener = StreamListener(self.engine, self.hub.subscriptions, self.host.loop)
        self._admit(self.options)
        self.port = await self.listener.open(self.options.host, self.options.port)
        self.address = (self.options.host, self.port)
        self._offer_changes()
        self._offer_reads(store)
        self.offer_type(self.hub.triggers.kind)
        self.offer_type(self.hub.joins.kind)
        self.offer_type(self.hub.leaves.kind)

    def _handlers(self, store: Store, bridge_url: str | None) -> Handlers:
        if bridge_url is None:
            return Handlers(self.engine, store, self.hub, announce=self._announce)
        from iii_engine.modules.stream.remote import RemoteStreams

        self.remote = RemoteStreams(self.engine, bridge_url, self.hub)
        return Handlers(self.engine, store, self.hub, self.remote.handler)

    def _announce(self, event: Event) -> None:
        """Tell engines with a bridge to this one."""
        if self.host.publish is not None:
            self.host.publish(
                TOPIC, lambda: Message(TOPIC, event.message, event.traceparent, event.baggage)
            )

    async def _share(self, choice: Choice) -> None:
        """Hear of what other engines do with items on the same server."""
        if isinstance(choice, RedisConfig | NatsConfig):
            from iii_engine.modules.stream.shared import SharedEvents

            self.shared = SharedEvents(choice, self.hub)
            await self.shared.open()

    def status(self) -> str:
        if self.remote is not None:
            return self.remote.status
        parts = (self.records, self.shared)
        problems = (part.problem for part in parts if part is not None)
        return next(filter(None, problems), super().status())

    def _admit(self, options: StreamOptions) -> None:
        """Judge by these options who connects from now on."""
        function_id = options.auth_function
        self.engine.reliance.name(self.name, {function_id} if function_id else ())
        self.hub.joins.required = options.require_join
        self.listener.allowed_origins = options.allowed_origins
        self.listener.ask_first = None if function_id is None else asking(self.engine, function_id)

    async def reconfigure(self, options: StreamOptions) -> bool:
        """Everything in place while the items stay where they are.

        At another address, or with another auth function, those who are connected are sent away
        with 1012: who comes back is judged anew.
        """
        wanted = RecordStore(options.adapter, ADAPTERS, PLACE)
        if self.records is None or not self.records.same_as(wanted):
            return False
        different = changed(self.options, options)
        here = set(self.listener.sockets)
        if different & {"host", "port"}:
            self.port = await self.listener.move(options.host, options.port)
            self.address = (options.host, self.port)
        self._admit(options)
        self.options = options
        if different & {"host", "port", "auth_function"}:
            self.listener.send_away(here)
        return True

    async def quiesce(self) -> None:
        self.listener.refuse_new()

    async def stop(self) -> None:
        self.engine.reliance.name(self.name, ())
        if hasattr(self, "listener"):
            await self.listener.close()
        await super().stop()
        if self.shared is not None:
            await self.shared.close()
        if self.remote is not None:
            await self.remote.close()
        if self.records is not None:
            await self.records.close()

    def _offer_changes(self) -> None:
        changing = self.handlers.changing
        self.offer(
            "stream::set",
            changing("set", "STREAM_SET_ERROR", requests.SetRequest, records.set_item),
            description="Create or replace an item and tell those who watch it",
            request=requests.SetRequest,
            response=Written,
        )
        self.offer(
            "stream::update",
            changing("update", "STREAM_UPDATE_ERROR", requests.UpdateRequest, records.update_item),
            description="Change an item by the operations of `state::update`, atomically",
            request=requests.UpdateRequest,
            response=Written,
        )
        self.offer(
            "stream::delete",
            changing("delete", "STREAM_DELETE_ERROR", requests.DeleteRequest, records.delete_item),
            description="Remove an item; answers what it was",
            request=requests.DeleteRequest,
            response=answers.Deleted,
        )
        self.offer(
            "stream::send",
            self.handlers.send,
            description="Tell those who watch a group, or an item, of an event; nothing is stored",
            request=requests.SendRequest,
        )

    def _offer_reads(self, store: Store) -> None:
        asked = self.handlers.reading
        self.offer(
            "stream::get",
            asked(
                "get",
                requests.ItemRequest,
                reading(store, "STREAM_GET_ERROR", requests.ItemRequest, listing.item),
            ),
            description="An item, or null",
            request=requests.ItemRequest,
            response=Any,
        )
        self.offer(
            "stream::list",
            asked(
                "list",
                requests.GroupRequest,
                browsing(store, "STREAM_GET_GROUP_ERROR", requests.GroupRequest, listing.items),
            ),
            description="The values of a group in insertion order",
            request=requests.GroupRequest,
            response=list[Any],
        )
        self.offer(
            "stream::list_groups",
            asked(
                "list_groups",
                requests.StreamRequest,
                browsing(store, "STREAM_LIST_GROUPS_ERROR", requests.StreamRequest, listing.groups),
            ),
            description="The groups of a stream that have items",
            request=requests.StreamRequest,
            response=list[str],
        )
        list_all = browsing(
            store, "STREAM_LIST_ALL_ERROR", requests.ListAllRequest, listing.streams
        )
        if self.remote is not None:
            list_all = self.remote.handler("stream::list_all")
        self.offer(
            "stream::list_all",
            list_all,
            description="All streams that the engine keeps, with their groups",
            request=requests.ListAllRequest,
            response=answers.AllStreams,
        )
