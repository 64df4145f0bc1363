"""Routes whose worker went away without taking them back: for a while they are known to be gone.

A worker that crashed or lost its connection is mostly back within seconds. Until then its routes
are not "not found", which clients take for final, but unavailable.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from iii_engine.modules.http.routes import Route, RouteConfig, Routes

#: How long a route is remembered, in seconds.
REMEMBERED_SECONDS: Final = 30.0

#: Workers that come and go must not fill the memory: the oldest routes are forgotten first.
MOST: Final = 10_000


class Vanished:
    """`time` is a clock in seconds."""

    def __init__(self, time: Callable[[], float], *, ignore_trailing_slash: bool = False) -> None:
        self._time = time
        self._routes = Routes(ignore_trailing_slash=ignore_trailing_slash)
        self._until: OrderedDict[str, float] = OrderedDict()  # by key, oldest first

    def use(self, *, ignore_trailing_slash: bool) -> None:
        """Find what is known under another rule."""
        self._routes = self._routes.copy(ignore_trailing_slash=ignore_trailing_slash)

    def add(self, route: Route) -> None:
        """The worker of a route has gone."""
        self.back(route)
        if len(self._until) >= MOST:
            self._forget(next(iter(self._until)))
        key = _key(route)
        self._until[key] = self._time() + REMEMBERED_SECONDS
        config = RouteConfig(route.path, route.method, error_format=route.error_format)
        gone = Route(key, route.function_id, config)
        gone.access = route.access
        self._routes.add(gone)

    def back(self, route: Route) -> None:
        """A route is bound, by the same worker or another."""
        if (key := _key(route)) in self._until:
            self._forget(key)

    def find(self, method: str, path: str) -> Route | None:
        """The route that a request would have had a moment ago."""
        return self.routes().find(method, path).route if self._until else None

    def routes(self) -> Routes:
        """All that are remembered now."""
        now = self._time()
        while self._until and (oldest := next(iter(self._until.items())))[1] <= now:
            self._forget(oldest[0])
        return self._routes

    def _forget(self, key: str) -> None:
        del self._until[key]
        self._routes.remove(key)


def _key(route: Route) -> str:
    """Routes that answer the same requests, whatever their parameters are called."""
    return f"{route.method} {'/'.join(route.segments)}"
