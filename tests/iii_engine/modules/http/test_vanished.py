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
    assert gone.find("GET", "/a/1") is not None
    assert gone.find("POST", "/a/1") is None
    assert gone.find("GET", "/b") is None
    clock.now = REMEMBERED_SECONDS - 1
    assert gone.find("GET", "/a/1") is not None
    gone.add(route("/a/:id"))  # it came and went again
    clock.now = REMEMBERED_SECONDS + 1
    assert gone.find("GET", "/a/1") is not None
    clock.now = 2 * REMEMBERED_SECONDS
    assert gone.find("GET", "/a/1") is None


def test_a_route_that_is_back_is_forgotten(gone: Vanished) -> None:
    gone.add(route("/a/:id", id="one"))
    gone.add(route("/b"))
    gone.back(route("/a/:name", id="two"))
    gone.back(route("/c"))
    assert gone.find("GET", "/a/1") is None
    assert gone.find("GET", "/b") is not None


def test_the_oldest_make_room(gone: Vanished, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vanished, "MOST", 2)
    for path in ("/a", "/b", "/c"):
        gone.add(route(path))
    assert [gone.find("GET", path) is not None for path in ("/a", "/b", "/c")] == [
        False,
        True,
        True,
    ]
