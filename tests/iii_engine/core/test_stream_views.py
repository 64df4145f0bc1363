"""Whatever happens in whatever order: who watches knows at the end what is stored."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iii_engine.core.stream_messages import Change, Event, Wanted, changed
from iii_engine.core.stream_subscriber import Subscriber, Subscription
from iii_engine.core.stream_subscriptions import Subscriptions
from iii_sdk.protocol import ErrorBody

GROUPS, ITEMS, NAMES, CLIENTS = "gh", "12", "ab", 2

small = st.integers(0, 5)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.sampled_from(GROUPS), st.sampled_from(ITEMS), small),
        st.tuples(st.just("delete"), st.sampled_from(GROUPS), st.sampled_from(ITEMS), small),
        st.tuples(st.just("join"), st.sampled_from(GROUPS), st.sampled_from(["", *ITEMS]), small),
        st.tuples(st.just("leave"), st.just(""), st.just(""), small),
        st.tuples(st.just("go on"), st.just(""), st.just(""), small),
    ),
    max_size=40,
)


class World:
    """A store of two groups, and a house whose every answer waits until somebody goes on."""

    def __init__(self) -> None:
        self.store: dict[tuple[str, str], int] = {}
        self.version = 0
        self.table = Subscriptions(self, lambda: 0)
        self.waiting: list[Callable[[], None]] = []
        self.admitted = 0
        self.gone = 0
        self.clients = [Subscriber(_nothing, _nothing) for _ in range(CLIENTS)]

    def admit(self, subscription: Subscription, decided: Callable[[bool], None]) -> None:
        def decide() -> None:
            self.admitted += 1
            decided(True)

        self.waiting.append(decide)

    def snapshot(
        self, wanted: Wanted, done: Callable[[bytes | None, ErrorBody | None], None]
    ) -> None:
        found = {  # read now, answered later
            item: value
            for (group, item), value in self.store.items()
            if group == wanted.group_id and wanted.id in (None, item)
        }
        self.waiting.append(lambda: done(json.dumps(found).encode(), None))

    def left(self, subscription: Subscription) -> None:
        self.gone += 1

    def change(self, group: str, item: str, delete: bool) -> None:
        old = self.store.pop((group, item), None)
        self.version += 1
        kind: Change = "delete" if delete else "create" if old is None else "update"
        if delete and old is None:
            return
        if not delete:
            self.store[group, item] = self.version
        body = changed(kind, b"%d" % (old if delete and old is not None else self.version))
        event = Event(stream="s", group=group, item=item, body=body)
        self.table.deliver(event, event.message)

    def do(self, what: str, group: str, item: str, number: int) -> None:
        client = self.clients[number % CLIENTS]
        name = NAMES[number % len(NAMES)]
        if what == "put":
            self.change(group, item, delete=False)
        elif what == "delete":
            self.change(group, item, delete=True)
        elif what == "join":
            self.table.join(client, Wanted(name, "s", group, item or None))
        elif what == "leave":
            self.table.leave(client, name)
        elif self.waiting:
            self.waiting.pop(number % len(self.waiting))()

    def read(self, client: Subscriber) -> dict[tuple[str, str | None], dict[str, int]]:
        """What a client knows of each place that it was synced with."""
        known: dict[tuple[str, str | None], dict[str, int]] = {}
        for message in map(json.loads, client.take()):
            group, item, event = message["groupId"], message["id"], message["event"]
            if event["type"] == "sync":
                known[group, item] = dict(event["data"])
                continue
            for (of, only), items in known.items():
                if of == group and only in (None, item):
                    if event["type"] == "delete":
                        items.pop(item, None)
                    else:
                        items[item] = event["data"]
        return known


def _nothing() -> None:
    pass


@pytest.mark.promise(
    "Streams", "Who watches knows what is stored, whatever happened while it subscribed."
)
@settings(max_examples=300)
@given(steps)
def test_who_watches_knows_what_is_stored(script: list[tuple[str, str, str, int]]) -> None:
    world = World()
    for step in script:
        world.do(*step)
    while world.waiting:
        world.waiting.pop(0)()
    for client in world.clients:
        known = world.read(client)
        for subscription in client.subscriptions.values():
            wanted = subscription.wanted
            stored = {
                item: value
                for (group, item), value in world.store.items()
                if group == wanted.group_id and wanted.id in (None, item)
            }
            assert known[wanted.group_id, wanted.id] == stored
        world.table.disconnect(client)
    assert world.gone == world.admitted
    assert len(world.table) == 0
