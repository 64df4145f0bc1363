from __future__ import annotations

from iii_engine.core.stream_subscriber import (
    MAX_WAITING,
    MAX_WAITING_BYTES,
    TRY_AGAIN,
    Subscriber,
)


class Transport:
    """Takes messages while it can."""

    def __init__(self) -> None:
        self.woken = 0
        self.taken: list[bytes] = []
        self.subscriber = Subscriber(self._wake, self.drain)

    def _wake(self) -> None:
        self.woken += 1

    def drain(self) -> None:
        if not self.subscriber.blocked:
            self.taken += self.subscriber.take()


def test_the_transport_is_woken_for_the_first_message() -> None:
    transport = Transport()
    transport.subscriber.send(b"a")
    transport.subscriber.send(b"b")
    assert transport.woken == 1
    assert transport.subscriber.owed == 2
    transport.drain()
    transport.subscriber.send(b"c")
    assert transport.woken == 2
    assert transport.taken == [b"a", b"b"]


def test_who_reads_may_get_any_number_at_once() -> None:
    transport = Transport()
    for _ in range(10 * MAX_WAITING):
        transport.subscriber.send(b"x")
    transport.drain()
    assert len(transport.taken) == 10 * MAX_WAITING
    assert transport.subscriber.close_code == 0


def test_who_does_not_read_is_closed_with_the_65th_message() -> None:
    transport = Transport()
    subscriber = transport.subscriber
    subscriber.blocked = True
    for _ in range(MAX_WAITING):
        subscriber.send(b"x")
    assert subscriber.close_code == 0
    subscriber.send(b"x")
    assert subscriber.close_code == TRY_AGAIN
    assert subscriber.close_reason
    assert subscriber.outbox == []
    assert transport.woken == 2
    subscriber.send(b"x")
    assert subscriber.outbox == []


def test_bytes_count_as_well_but_one_message_may_be_large() -> None:
    transport = Transport()
    subscriber = transport.subscriber
    subscriber.blocked = True
    subscriber.send(bytes(MAX_WAITING_BYTES + 1))
    assert subscriber.close_code == 0
    subscriber.send(b"x")
    assert subscriber.close_code == TRY_AGAIN


def test_it_is_closed_for_one_reason() -> None:
    transport = Transport()
    transport.subscriber.close(1012, "first")
    transport.subscriber.overflow()
    assert (transport.subscriber.close_code, transport.subscriber.close_reason) == (1012, "first")
    assert transport.woken == 1
