"""The bound over all outboxes, without sockets."""

from __future__ import annotations

from iii_engine.core.backlog import COUNTED_FROM, Backlog
from iii_engine.core.sessions import SLOW_BYTES, Session, Status


def session(name: str) -> Session:
    made = Session(name, 1, ip="", connected_at_ns=0, reattach_token="", wake=lambda _: None)
    made.blocked = True
    return made


def owe(backlog: Backlog, to: Session, size: int) -> None:
    to.send(bytes(size))
    backlog.note(to)


def test_the_largest_is_closed_until_the_rest_fits() -> None:
    backlog = Backlog(bound=10 * COUNTED_FROM)
    small, large, middle = session("small"), session("large"), session("middle")
    for peer, times in ((small, 2), (large, 6), (middle, 4)):
        owe(backlog, peer, times * COUNTED_FROM)
    assert backlog.total == 12 * COUNTED_FROM
    backlog.shed()
    assert large.status is Status.OVERFLOWED
    assert (large.close_code, large.outbox) == (1013, [])
    assert small.status is middle.status is Status.CONNECTED
    assert backlog.total == 6 * COUNTED_FROM


def test_what_was_read_meanwhile_saves_everybody() -> None:
    backlog = Backlog(bound=COUNTED_FROM)
    one, other = session("one"), session("other")
    owe(backlog, one, COUNTED_FROM)
    owe(backlog, other, COUNTED_FROM)
    one.take()
    backlog.shed()
    assert one.status is other.status is Status.CONNECTED
    assert backlog.total == COUNTED_FROM


def test_who_keeps_up_or_is_gone_is_not_counted() -> None:
    backlog = Backlog()
    peer = session("peer")
    owe(backlog, peer, COUNTED_FROM - 1)
    assert (backlog.total, peer.counted) == (0, False)
    owe(backlog, peer, 1)
    assert (backlog.total, peer.counted) == (COUNTED_FROM, True)
    backlog.forget(peer)
    assert (backlog.total, peer.counted) == (0, False)


def test_what_a_blocked_transport_is_woken_for() -> None:
    woken: list[Session] = []
    peer = Session("p", 1, ip="", connected_at_ns=0, reattach_token="", wake=woken.append)
    peer.send(b"1")
    peer.send(bytes(SLOW_BYTES))
    assert len(woken) == 1
    peer.blocked = True
    peer.send(b"3")
    assert len(woken) == 2


def test_a_transport_takes_much_at_once_unless_it_is_blocked() -> None:
    taken: list[int] = []
    peer = session("p")
    peer.blocked = False
    peer.drain = lambda: taken.append(len(peer.take()))
    peer.send(bytes(SLOW_BYTES))
    assert taken == []
    peer.send(b"2")
    peer.send(b"3")
    assert taken == [2]
    peer.blocked = True
    peer.send(bytes(SLOW_BYTES))
    assert taken == [2]


def test_an_overflowed_session_is_sent_nothing_more() -> None:
    peer = session("peer")
    peer.overflow()
    peer.send(b"late")
    assert peer.outbox == []
    assert (peer.close_code, peer.close_reason) == (1013, "outbound queue overflowed")
