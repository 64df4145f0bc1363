"""Routes whose worker went away, in a time of their own."""

from __future__ import annotations

import pytest

from iii_engine.modules.http import vanished
from iii_engine.modules.http.routes import Route, RouteConfig
from iii_engine.modules.http.vanished import REMEMBERED_SECONDS, Vanished


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def gone(clock: Clock) -> Vanished:
    return Vanished(clock, ignore_trailing_slash=False)


def route(path: str, method: str = "GET", id: str = "t") -> Route:
    return Route(id, "f", RouteConfig(path, method))


def test_a_route_is_remembered_for_a_while(gone: Vanished, clock: Clock) -> None:
    gone.add(route("/a/:id"))
    assert gone.has("GET", "/a/1")
    assert not gone.has("POST", "/a/1")
    assert not gone.has("GET", "/b")
    clock.now = REMEMBERED_SECONDS - 1
    assert gone.has("GET", "/a/1")
    gone.add(route("/a/:id"))  # it came and went again
    clock.now = REMEMBERED_SECONDS + 1
    assert gone.has("GET", "/a/1")
    clock.now = 2 * REMEMBERED_SECONDS
    assert not gone.has("GET", "/a/1")


def test_a_route_that_is_back_is_forgotten(gone: Vanished) -> None:
    gone.add(route("/a/:id", id="one"))
    gone.add(route("/b"))
    gone.back(route("/a/:name", id="two"))
    gone.back(route("/c"))
    assert not gone.has("GET", "/a/1")
    assert gone.has("GET", "/b")


def test_the_oldest_make_room(gone: Vanished, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vanished, "MOST", 2)
    for path in ("/a", "/b", "/c"):
        gone.add(route(path))
    assert [gone.has("GET", path) for path in ("/a", "/b", "/c")] == [False, True, True]
