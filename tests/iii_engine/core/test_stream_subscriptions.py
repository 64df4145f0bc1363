"""Who watches what, without sockets, stores and workers."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from iii_engine.core.stream_messages import Event, Wanted, changed
from iii_engine.core.stream_subscriber import (
    MAX_ASKING,
    MAX_HELD,
    MAX_WAITING_BYTES,
    TRY_AGAIN,
    Subscriber,
    Subscription,
)
from iii_engine.core.stream_subscriptions import MAX_SUBSCRIPTIONS, Subscriptions
from iii_sdk.protocol import ErrorBody

Done = Callable[[bytes | None, ErrorBody | None], None]


class House:
    """Answers what it is asked at once, or keeps the questions while it is `slow`."""

    def __init__(self) -> None:
        self.table = Subscriptions(self, lambda: 5)
        self.slow = False
        self.asked: list[Callable[[bool], None]] = []
        self.reading: list[Done] = []
        self.gone: list[str] = []

    def admit(self, subscription: Subscription, decided: Callable[[bool], None]) -> None:
        if self.slow:
            self.asked.append(decided)
        else:
            decided(True)

    def snapshot(self, wanted: Wanted, done: Done) -> None:
        if self.slow:
            self.reading.append(done)
        else:
            done(b"[]" if wanted.id is None else None, None)

    def left(self, subscription: Subscription) -> None:
        self.gone.append(subscription.wanted.subscription_id)

    def happen(self, item: str | None = "1", group: str = "g", data: bytes = b"1") -> None:
        event = Event(stream="s", group=group, item=item, body=changed("create", data))
        self.table.deliver(event, event.message)


class Client:
    def __init__(self, house: House) -> None:
        self.house = house
        self.subscriber = Subscriber(lambda: None, lambda: None)

    def join(self, id: str | None = None, *, name: str = "a", group: str = "g") -> None:
        self.house.table.join(self.subscriber, Wanted(name, "s", group, id))

    def leave(self, name: str = "a") -> None:
        self.house.table.leave(self.subscriber, name)

    def heard(self) -> list[Any]:
        return [json.loads(message) for message in self.subscriber.take()]

    def events(self) -> list[Any]:
        return [
            (message["event"]["type"], message["event"].get("data")) for message in self.heard()
        ]


@pytest.fixture
def house() -> House:
    return House()


@pytest.fixture
def client(house: House) -> Client:
    return Client(house)


def test_a_group_and_an_item_are_watched(house: House, client: Client) -> None:
    client.join()
    other = Client(house)
    other.join("1")
    house.happen("1")
    house.happen("2", data=b"2")
    house.happen(None, data=b"3")
    house.happen("1", group="h")
    assert client.events() == [("sync", []), ("create", 1), ("create", 2), ("create", 3)]
    assert other.events() == [("sync", None), ("create", 1)]


def test_what_is_watched_is_known(house: House, client: Client) -> None:
    client.join("1")
    assert house.table.watched("s", "g", "1")
    assert not house.table.watched("s", "g", "2")
    assert not house.table.watched("s", "g", None)
    client.leave()
    client.join()
    assert house.table.watched("s", "g", "2")
    assert len(house.table) == 1
    house.table.disconnect(client.subscriber)
    assert not house.table.watched("s", "g", "2")
    assert len(house.table) == 0


def test_one_socket_gets_an_event_once(house: House, client: Client) -> None:
    client.join(name="group")
    client.join("1", name="item")
    client.subscriber.take()
    house.happen("1")
    house.happen("2")
    first, second = client.heard()
    assert first["subscriptionIds"] == ["group", "item"]
    assert "subscriptionIds" not in second


def test_others_share_the_bytes_of_an_event(house: House) -> None:
    clients = [Client(house) for _ in range(3)]
    for client in clients:
        client.join()
        client.subscriber.take()
    house.happen()
    assert len({id(client.subscriber.outbox[0]) for client in clients}) == 1


def test_a_refused_join_is_told_and_watches_nothing(house: House, client: Client) -> None:
    house.slow = True
    client.join("1")
    house.happen("1")
    house.asked[0](False)
    house.happen("1")
    (told,) = client.heard()
    assert told["event"] == {"type": "unauthorized"}
    assert (told["streamName"], told["groupId"], told["id"]) == ("s", "g", "1")
    assert house.gone == []
    assert not client.subscriber.subscriptions


def test_changes_come_after_what_they_change(house: House, client: Client) -> None:
    house.slow = True
    client.join()
    house.happen("0")  # before it is admitted: what is read has it
    house.asked[0](True)
    house.happen("1", data=b"1")
    house.happen("2", data=b"2")
    assert client.heard() == []
    house.reading[0](b"[0]", None)
    house.happen("3", data=b"3")
    assert client.events() == [("sync", [0]), ("create", 1), ("create", 2), ("create", 3)]


def test_a_subscription_that_waits_does_not_make_another_wait(house: House, client: Client) -> None:
    client.join(name="open")
    house.slow = True
    client.join("1", name="late")
    house.asked[0](True)
    house.happen("1")
    assert client.events() == [("sync", []), ("create", 1)]
    house.reading[0](b"0", None)
    assert client.events() == [("sync", 0), ("create", 1)]


def test_too_many_changes_before_the_values_close_the_socket(house: House, client: Client) -> None:
    house.slow = True
    client.join()
    house.asked[0](True)
    for _ in range(MAX_HELD):
        house.happen()
    assert client.subscriber.close_code == 0
    house.happen()
    assert client.subscriber.close_code == TRY_AGAIN


def test_too_many_bytes_before_the_values_close_the_socket(house: House, client: Client) -> None:
    house.slow = True
    client.join()
    house.asked[0](True)
    house.happen(data=b"1" * MAX_WAITING_BYTES)
    assert client.subscriber.close_code == 0
    house.happen()
    assert client.subscriber.close_code == TRY_AGAIN


def test_values_that_cannot_be_read_end_the_subscription(house: House, client: Client) -> None:
    house.slow = True
    client.join()
    house.asked[0](True)
    house.reading[0](None, ErrorBody("oops", "it broke"))
    house.happen()
    error = {"code": "oops", "message": "it broke", "subscriptionId": "a"}
    assert client.heard() == [{"type": "error", "error": error}]
    assert house.gone == ["a"]
    assert len(house.table) == 0


def test_the_same_id_takes_the_place_of_the_first(house: House, client: Client) -> None:
    client.join("1")
    client.join("2")
    client.subscriber.take()
    house.happen("1")
    house.happen("2", data=b"2")
    assert client.events() == [("create", 2)]
    assert house.gone == ["a"]
    other = Client(house)
    other.join("2")
    assert house.gone == ["a"]


def test_after_a_loss_everybody_begins_anew(house: House, client: Client) -> None:
    client.join()
    client.join("1", name="b")
    client.subscriber.take()
    house.slow = True
    house.table.refresh()
    house.happen("1", data=b"1")
    assert client.heard() == []
    house.table.refresh()  # once more, before it was read
    house.reading[0](b'["old"]', None)
    assert client.heard() == []
    house.happen("1", data=b"2")
    house.reading[2](b'["new"]', None)
    house.reading[3](b'"new"', None)
    assert client.events() == [
        ("sync", ["new"]),
        ("create", 1),
        ("create", 2),
        ("sync", "new"),
        ("create", 1),
        ("create", 2),
    ]
    house.reading[1](b'"old"', None)
    house.happen("1", data=b"3")
    assert client.events() == [("create", 3)]
    assert house.gone == []


def test_who_leaves_before_the_decision_is_missed_only_if_it_was_let_in(
    house: House, client: Client
) -> None:
    house.slow = True
    client.join(name="in")
    client.join(name="out")
    client.leave("in")
    house.table.disconnect(client.subscriber)
    house.asked[0](True)
    house.asked[1](False)
    assert client.heard() == []
    assert house.gone == ["in"]


def test_who_leaves_while_it_is_read_hears_nothing_more(house: House, client: Client) -> None:
    house.slow = True
    client.join()
    house.asked[0](True)
    client.leave()
    house.reading[0](b"[]", None)
    assert client.heard() == []
    assert house.gone == ["a"]


def test_leaving_what_is_not_there_changes_nothing(house: House, client: Client) -> None:
    client.leave("x")
    assert house.gone == []


def test_a_socket_has_a_bounded_number_of_subscriptions(house: House, client: Client) -> None:
    for number in range(MAX_SUBSCRIPTIONS):
        client.join(str(number), name=str(number))
        client.subscriber.take()
    client.join(name="more")
    (told,) = client.heard()
    assert (told["error"]["code"], told["error"]["subscriptionId"]) == (
        "too_many_subscriptions",
        "more",
    )
    client.join("1", name="0")  # in place of another
    assert client.events() == [("sync", None)]


def test_who_asks_too_much_at_once_is_not_read_until_half_is_decided(
    house: House, client: Client
) -> None:
    reading: list[bool] = []
    client.subscriber.read = reading.append
    house.slow = True
    for _ in range(MAX_ASKING + 5):
        client.join()  # each takes the place of the one before, and is still decided about
    assert reading == [False]
    for decide in house.asked[: MAX_ASKING // 2 + 4]:
        decide(False)
    assert reading == [False]
    house.asked[MAX_ASKING // 2 + 4](False)
    assert reading == [False, True]


def test_messages_of_sockets_are_applied_or_answered(house: House, client: Client) -> None:
    table, subscriber = house.table, client.subscriber
    place = {"subscriptionId": "a", "streamName": "s", "groupId": "g"}
    table.receive(subscriber, json.dumps({"type": "join", "data": place}).encode())
    table.receive(subscriber, b" ")
    table.receive(subscriber, b"{}")
    sync, bad = client.heard()
    assert sync["timestamp"] == 5
    assert bad["error"]["code"] == "bad_message"
    house.happen()
    table.receive(subscriber, json.dumps({"type": "leave", "data": place}).encode())
    house.happen()
    assert client.events() == [("create", 1)]
