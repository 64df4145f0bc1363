from __future__ import annotations

from iii_engine.core.queue_room import FEW, WINDOW, Room


def test_room_is_free_again_when_nobody_holds_the_record() -> None:
    room = Room(10, 1)
    first = room.keep(b"x" * 6)
    assert first is not None
    assert first.data == b"x" * 6
    assert room.keep(b"x" * 5) is None
    del first
    assert room.keep(b"x" * 10) is not None


def test_queues_share_the_places() -> None:
    room = Room(10, 100 * WINDOW)
    windows = []
    for queues in (0, 1, 100, 1000, 1_000_000):
        room.queues = queues
        windows.append(room.window)
    assert windows == [WINDOW, WINDOW, WINDOW, WINDOW // 10, FEW]
    assert room.ahead == 10 * FEW
