"""Who watches what, from `join` to `leave`, and who gets which event.

A join goes through three steps: somebody may refuse it, then what is there is read, then it is
open. From the second step on events are held back for it, so that none is lost and none comes
before the values it changes. No step waits in here; each may take a while elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final, Protocol, TypeAlias

from iii_engine.core.stream_messages import (
    UNAUTHORIZED,
    Event,
    Join,
    Wanted,
    addressed,
    read,
    sync,
    trouble,
    wrapper,
)
from iii_engine.core.stream_subscriber import Subscriber, Subscription
from iii_sdk.errors import BusError
from iii_sdk.protocol import ErrorBody

#: Subscriptions of one socket.
MAX_SUBSCRIPTIONS: Final = 1000
Place: TypeAlias = tuple[str, str, str | None]


class House(Protocol):
    """What subscriptions need to know, and whom they tell."""

    def admit(self, subscription: Subscription, decided: Callable[[bool], None]) -> None:
        """Ask whoever may refuse; `decided` is called once, perhaps before this returns."""
        ...

    def snapshot(
        self, wanted: Wanted, done: Callable[[bytes | None, ErrorBody | None], None]
    ) -> None:
        """Read an item, or the items of a group, as JSON."""
        ...

    def left(self, subscription: Subscription) -> None:
        """A subscription that was admitted is over."""
        ...


class Subscriptions:
    """All subscriptions of all sockets. `now_ms` gives the time that messages carry."""

    def __init__(self, house: House, now_ms: Callable[[], int]) -> None:
        self._house = house
        self._now_ms = now_ms
        self._places: dict[Place, dict[Subscription, None]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._places.values()))

    # -- what sockets say ------------------------------------------------------------------------

    def receive(self, subscriber: Subscriber, payload: bytes) -> None:
        """Apply one message; a bad one is answered and changes nothing."""
        try:
            message = read(payload)
        except BusError as error:
            subscriber.send(trouble(error))
            return
        if isinstance(message, Join):
            self.join(subscriber, message.data)
        elif message is not None:
            self.leave(subscriber, message.data.subscription_id)

    def join(self, subscriber: Subscriber, wanted: Wanted) -> None:
        """Begin a subscription; it takes the place of one with the same id, which ends first."""
        self.leave(subscriber, wanted.subscription_id)
        if len(subscriber.subscriptions) >= MAX_SUBSCRIPTIONS:
            text = f"a socket has at most {MAX_SUBSCRIPTIONS} subscriptions"
            error = ErrorBody("too_many_subscriptions", text)
            subscriber.send(trouble(error, wanted.subscription_id))
            return
        subscription = Subscription(subscriber, wanted)
        subscriber.subscriptions[wanted.subscription_id] = subscription
        subscriber.asked()
        self._house.admit(subscription, partial(self._decided, subscription))

    def leave(self, subscriber: Subscriber, subscription_id: str) -> None:
        """End a subscription, if there is one of that id."""
        subscription = subscriber.subscriptions.pop(subscription_id, None)
        if subscription is None:
            return
        subscription.over = True
        if subscription.open:
            members = self._places[subscription.place]
            del members[subscription]
            if not members:
                del self._places[subscription.place]
            self._house.left(subscription)

    def disconnect(self, subscriber: Subscriber) -> None:
        """The socket is gone, and with it all its subscriptions."""
        for subscription_id in list(subscriber.subscriptions):
            self.leave(subscriber, subscription_id)

    # -- the steps of a join ---------------------------------------------------------------------

    def _decided(self, subscription: Subscription, admitted: bool) -> None:
        subscriber, wanted = subscription.subscriber, subscription.wanted
        subscriber.answered()
        if subscription.over:
            if admitted:  # those who counted it must hear that it is gone
                self._house.left(subscription)
        elif admitted:
            subscription.open = True
            self._places.setdefault(subscription.place, {})[subscription] = None
            self._begin_read(subscription)
        else:
            del subscriber.subscriptions[wanted.subscription_id]
            subscription.over = True
            subscriber.send(self._message(wanted, UNAUTHORIZED))

    def _begin_read(self, subscription: Subscription) -> None:
        subscription.hold_back()
        subscription.reads += 1
        answer = partial(self._read, subscription, subscription.reads)
        self._house.snapshot(subscription.wanted, answer)

    def _read(
        self,
        subscription: Subscription,
        number: int,
        data: bytes | None,
        error: ErrorBody | None,
    ) -> None:
        if subscription.over or number != subscription.reads:
            return
        subscriber, wanted = subscription.subscriber, subscription.wanted
        if error is not None:
            subscriber.send(trouble(error, wanted.subscription_id))
            self.leave(subscriber, wanted.subscription_id)
            return
        subscriber.send(self._message(wanted, sync(data or b"null")))
        for message in subscription.release():
            subscriber.send(message)

    def _message(self, wanted: Wanted, body: bytes) -> bytes:
        return wrapper(self._now_ms(), wanted.stream_name, wanted.group_id, wanted.id, body)

    # -- events ----------------------------------------------------------------------------------

    def watched(self, stream: str, group: str, item: str | None) -> bool:
        """Whether an event there would reach anybody."""
        places = self._places
        return (stream, group, None) in places or (stream, group, item) in places

    def refresh(self) -> None:
        """Events may have been missed: everybody begins again with what is there now."""
        for subscription in [s for members in self._places.values() for s in members]:
            if not subscription.over:
                self._begin_read(subscription)

    def deliver(self, event: Event, message: bytes) -> None:
        """Give an event to every socket that watches, once, however often it subscribed.

        Only a subscription whose values are still being read gets it for itself, after them.
        """
        found: dict[Subscriber, list[str]] = {}
        for subscription in self._matching(event):
            if subscription.held is None:
                ids = found.setdefault(subscription.subscriber, [])
                ids.append(subscription.wanted.subscription_id)
            else:
                subscription.hold(message)
        for subscriber, ids in found.items():
            subscriber.send(message if len(ids) == 1 else addressed(message, ids))

    def _matching(self, event: Event) -> list[Subscription]:
        places = self._places
        matching = list(places.get((event.stream, event.group, None), ()))
        if event.item is not None:
            matching += places.get((event.stream, event.group, event.item), ())
        return matching
