from __future__ import annotations

from iii_engine.core.queue_room import FEW, WINDOW, Room


def test_queues_share_the_places() -> None:
    room = Room(10, 100 * WINDOW)
    windows = []
    for queues in (0, 1, 100, 1000, 1_000_000):
        room.queues = queues
        windows.append(room.window)
    assert windows == [WINDOW, WINDOW, WINDOW, WINDOW // 10, FEW]
    assert room.ahead == 10 * FEW
