from __future__ import annotations

from typing import Any

import pytest
from tests.support.pieces import Loop, counted

from iii_engine.core import turns
from iii_engine.core.turns import Pieces, Turns, at_once


class Caller:
    """A call of somebody."""

    def __init__(self, caller_id: str) -> None:
        self.caller_id = caller_id
        self.answered = False


class Desk:
    """Works that say what they do, and what became of them."""

    def __init__(self) -> None:
        self.loop = Loop()
        self.turns = Turns(self.loop.soon)
        self.seen: list[str] = []
        self.results: dict[str, object] = {}

    def work(self, name: str, pieces: int) -> Pieces[str]:
        try:
            for number in range(1, pieces + 1):
                self.seen.append(f"{name}{number}")
                if number < pieces:
                    yield
            return name
        finally:
            self.seen.append(f"{name} ends")

    def run(self, name: str, pieces: int, asker: Caller | None = None) -> None:
        def done(result: str | None, error: BaseException | None) -> None:
            self.results[name] = result or error

        self.turns.run(lambda: self.work(name, pieces), done, asker)

    def happened(self) -> list[str]:
        seen, self.seen = self.seen, []
        return seen


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_one_piece_is_done_at_once(desk: Desk) -> None:
    desk.run("a", 1)
    assert desk.results == {"a": "a"}
    assert not desk.loop.turn()


def test_each_turn_does_one_piece(desk: Desk) -> None:
    desk.run("a", 3)
    assert desk.happened() == ["a1"]
    assert desk.loop.turn()
    assert desk.happened() == ["a2"]
    assert desk.results == {}
    assert desk.loop.turn()
    assert desk.happened() == ["a3", "a ends"]
    assert desk.results == {"a": "a"}
    assert not desk.loop.turn()


def test_a_few_works_go_on_by_turns_and_the_others_hold_nothing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "AT_ONCE", 2)
    for name in ("a", "b", "c"):
        desk.run(name, 3)
    desk.run("d", 1)
    assert desk.happened() == ["a1", "b1", "c1", "c ends", "d1", "d ends"]
    happened = []
    while desk.loop.turn():
        happened.append(desk.happened())
    assert happened == [
        ["a2"],
        ["b2"],
        ["a3", "a ends"],
        ["b3", "b ends"],
        ["c1"],
        ["c2"],
        ["c3", "c ends"],
    ]
    assert list(desk.results) == ["d", "a", "b", "c"]


def test_each_caller_has_one_work_before_any_has_another(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "AT_ONCE", 1)
    greedy, modest = Caller("greedy"), Caller("modest")
    for number in range(4):
        desk.run(f"g{number}", 2, greedy)
    desk.run("m", 2, modest)
    desk.run("e", 2)
    while desk.loop.turn():
        pass
    assert list(desk.results) == ["g0", "g1", "m", "e", "g2", "g3"]


def test_what_nobody_waits_for_is_dropped(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "AT_ONCE", 1)
    gone = Caller("gone")
    for name in ("a", "b"):
        desk.run(name, 9, gone)
    desk.run("c", 2)
    desk.happened()
    gone.answered = True
    while desk.loop.turn():
        pass
    assert desk.happened() == ["a ends", "c1", "c2", "c ends"]
    assert desk.results == {"c": "c"}


def test_what_goes_wrong_is_told_and_the_next_goes_on(desk: Desk) -> None:
    told: list[BaseException | None] = []

    def fails(after: int) -> Pieces[str]:
        for _ in range(after):
            yield
        raise ValueError(after)

    for after in (0, 1, 2):
        desk.turns.run(lambda after=after: fails(after), lambda _, error: told.append(error))
    desk.run("a", 2)
    while desk.loop.turn():
        pass
    assert [str(error) for error in told] == ["0", "1", "2"]
    assert desk.results == {"a": "a"}


def test_a_listener_that_fails_ends_nothing(desk: Desk) -> None:
    def broken(result: Any, error: BaseException | None) -> None:
        raise RuntimeError

    desk.turns.run(lambda: desk.work("a", 2), broken)
    desk.run("b", 2)
    with pytest.raises(RuntimeError):
        desk.loop.turn()
    while desk.loop.turn():
        pass
    assert desk.results == {"b": "b"}


def test_works_that_are_put_off_begin_in_their_turn(desk: Desk) -> None:
    desk.turns.later(lambda: desk.work("a", 1), lambda *_: desk.run("b", 1))
    assert desk.happened() == []
    desk.loop.turn()
    assert desk.happened() == ["a1", "a ends", "b1", "b ends"]


def test_the_end_fails_everything(desk: Desk) -> None:
    desk.run("a", 3)
    desk.run("b", 3)
    error = OSError()
    desk.turns.end(error)
    assert desk.results == {"a": error, "b": error}
    desk.loop.turn()
    assert desk.happened() == ["a1", "b1", "a ends", "b ends"]


def test_all_pieces_at_once(desk: Desk) -> None:
    assert at_once(desk.work("a", 3)) == "a"
    assert counted(desk.work("a", 3)) == ("a", 3)
