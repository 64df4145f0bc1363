"""The routes table: which trigger answers a method and a path.

Static segments win over parameters, parameters over a wildcard. Two routes may name the parameter
at one position differently. Of several triggers for one method and path the newest answers, and
the one before it again when that goes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal
from urllib.parse import unquote

import msgspec
from msgspec import Struct

from iii_engine.core.access import Access
from iii_engine.modules.http.failure import ErrorFormat
from iii_sdk.errors import InvalidInput

METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS")


class RouteConfig(Struct):
    """`config` of an `http` trigger."""

    #: `/users/:id`, `/users/{id}`, and `*rest` as the last segment.
    api_path: str
    http_method: str = "GET"
    #: Says whether the request goes on to the function.
    condition_function_id: str | None = None
    #: Asked in this order, after the condition.
    middleware_function_ids: list[str] | None = None
    #: Adds the body's exact bytes to the payload, as signatures are computed over them: JSON as
    #: the text `raw_body`, everything else (also compressed JSON) as `raw_body_base64`.
    raw_body: bool | None = None
    #: `flat` merges query, body and path parameters into one object.
    input: Literal["request", "flat"] | None = None
    #: Of error answers.
    error_format: ErrorFormat | None = None
    #: Older name of `condition_function_id`.
    _condition_path: str | None = None


class Route:
    """One bound trigger with the constant parts of its payloads."""

    __slots__ = (
        "access",
        "condition",
        "error_format",
        "flat",
        "function_id",
        "id",
        "label",
        "match",
        "method",
        "middleware",
        "names",
        "path",
        "plain",
        "prefix",
        "raw_body",
        "segments",
        "span_name",
    )

    def __init__(
        self, id: str, function_id: str, config: RouteConfig, *, literal: bool = False
    ) -> None:
        self.id = id
        #: The rights of who made it; None for a trusted one.
        self.access: Access | None = None
        self.function_id = function_id
        self.path = config.api_path if config.api_path.startswith("/") else "/" + config.api_path
        self.method = config.http_method.upper()
        #: What it is called in traces and metrics; a route of one request has no name there.
        self.label = "" if literal else self.path
        self.span_name = f"{self.method} {self.label}".rstrip()
        self.condition = config.condition_function_id or config._condition_path
        self.middleware = config.middleware_function_ids or []
        self.raw_body = bool(config.raw_body)
        self.flat = config.input == "flat"
        self.error_format = config.error_format
        self.segments, self.names = ((), ()) if literal else parse_path(self.path)
        #: Neither condition nor middleware: nothing happens between the body and the handler.
        self.plain = not self.condition and not self.middleware
        #: What the look-up of a path without parameters finds.
        self.match = Match(self, [], [])
        registered = msgspec.json.encode(config.api_path)
        self.prefix = (
            b'{"trigger":{"type":"http","path":%b,"method":"%b"},"path":%b,"path_params":'
            % (registered, self.method.encode(), registered)
        )

    @classmethod
    def catch_all(cls, function_id: str, config: RouteConfig) -> Route:
        """A route outside the table, whose path is taken as it is."""
        return cls("", function_id, config, literal=True)


def read_config(raw: bytes) -> RouteConfig:
    """The config of a trigger. Raises `InvalidInput` with what is wrong with it."""
    try:
        config = msgspec.json.decode(b"{}" if raw == b"null" else raw, type=RouteConfig)
    except msgspec.ValidationError as error:
        if "api_path" in str(error):
            raise InvalidInput("api_path is required for http triggers") from None
        raise InvalidInput(f"http trigger: {error}") from None
    except msgspec.DecodeError as error:
        raise InvalidInput(f"http trigger: {error}") from None
    if not config.api_path:
        raise InvalidInput("api_path is required for http triggers")
    if config.http_method.upper() not in METHODS:
        raise InvalidInput(
            f"$.http_method: {config.http_method!r} is not one of {', '.join(METHODS)}"
        )
    return config


#: What a segment of a route is matched by: its text after a `=`, or one of these.
PARAM = ":"
REST = "*"

#: Which of them is asked first, the highest.
_RANK = {"=": 2, PARAM: 1, REST: 0}


#: Parts of a route's path; looking one up goes a call deeper for each.
MAX_SEGMENTS: Final = 256


def parse_path(path: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Segments with placeholders for parameters, and the parameters' names in order.

    Raises `InvalidInput` for a wildcard that is not last, for a name used twice, and for a path
    that is too long to be looked up.
    """
    kinds: list[str] = []
    names: list[str] = []
    segments = path[1:].split("/")
    if len(segments) > MAX_SEGMENTS:
        raise InvalidInput(f"$.api_path: more than {MAX_SEGMENTS} segments")
    for position, segment in enumerate(segments):
        if len(segment) > 1 and segment[0] == ":":
            kinds.append(PARAM)
            names.append(segment[1:])
        elif len(segment) > 2 and segment[0] == "{" and segment[-1] == "}":
            kinds.append(PARAM)
            names.append(segment[1:-1])
        elif segment[:1] == "*":
            if position != len(segments) - 1:
                raise InvalidInput(f"$.api_path: {path}: a wildcard must be the last segment")
            kinds.append(REST)
            names.append(segment[1:] or "rest")
        else:
            kinds.append("=" + segment)
    if len(set(names)) != len(names):
        raise InvalidInput(f"$.api_path: {path}: two parameters have the same name")
    return tuple(kinds), tuple(names)


class _Node:
    """One position of the tree. `routes` has, by method, the stack of routes that end here."""

    __slots__ = ("children", "routes")

    def __init__(self) -> None:
        self.children: dict[str, _Node] = {}
        self.routes: dict[str, list[Route]] = {}

    def route(self, method: str) -> Route | None:
        stack = self.routes.get(method)
        if stack is None and method == "HEAD":
            stack = self.routes.get("GET")
        return stack[-1] if stack else None


class Match(Struct, gc=False):
    """Outcome of a look-up: a route with its parameters, or the methods that would do, and the
    form in which one of their routes wants errors."""

    route: Route | None
    params: list[str]
    allowed: list[str]
    error_format: ErrorFormat | None = None


_NOTHING = Match(None, [], [])


class Routes:
    def __init__(self, *, ignore_trailing_slash: bool = False) -> None:
        self._root = _Node()
        self._fixed: dict[str, _Node] = {}  # paths without parameters, as requested
        self._by_id: dict[str, Route] = {}
        self._ignore_slash = ignore_trailing_slash

    def __iter__(self) -> Iterator[Route]:
        return iter(self._by_id.values())

    def copy(self, *, ignore_trailing_slash: bool) -> Routes:
        """The same routes, in the order they were added, under another rule.

        Paths may have become the same: there the routes of trusted workers answer.
        """
        copied = Routes(ignore_trailing_slash=ignore_trailing_slash)
        for route in sorted(self, key=_is_trusted):
            copied.add(route)
        return copied

    def overlapping(self, route: Route) -> Iterator[Route]:
        """The routes of any method that some request fits which fits this one as well."""
        for node in _touching(self._root, self._segments(route)):
            for stack in node.routes.values():
                yield from stack

    def outranks(self, route: Route, other: Route) -> bool:
        """Whether the route would get what both fit, if it came later."""
        for own, others in zip(self._segments(route), self._segments(other), strict=False):
            if _RANK[own[0]] != _RANK[others[0]]:
                return _RANK[own[0]] > _RANK[others[0]]
        return True

    def add(self, route: Route) -> None:
        self._by_id[route.id] = route
        node = self._root
        for kind in self._segments(route):
            node = node.children.setdefault(kind, _Node())
        node.routes.setdefault(route.method, []).append(route)
        if not route.names:
            self._fixed["/" + "/".join(kind[1:] for kind in self._segments(route))] = node

    def remove(self, trigger_id: str) -> Route | None:
        """Take a route out; None when there is none of this id."""
        route = self._by_id.pop(trigger_id, None)
        if route is None:
            return None
        path = [self._root]
        segments = self._segments(route)
        for kind in segments:
            path.append(path[-1].children[kind])
        stack = path[-1].routes[route.method]
        stack.remove(route)
        if not stack:
            del path[-1].routes[route.method]
        if not route.names and not path[-1].routes:
            del self._fixed["/" + "/".join(kind[1:] for kind in segments)]
        for position in range(len(segments), 0, -1):
            if path[position].routes or path[position].children:
                break
            del path[position - 1].children[segments[position - 1]]
        return route

    def _segments(self, route: Route) -> tuple[str, ...]:
        segments = route.segments
        if self._ignore_slash and len(segments) > 1 and segments[-1] == "=":
            return segments[:-1]
        return segments

    def find(self, method: str, path: str) -> Match:
        """Look up a request path as it was sent, percent-encoding included, without the query."""
        if self._ignore_slash and len(path) > 1 and path[-1] == "/":
            path = path[:-1]
        node = self._fixed.get(path)
        if node is not None and (route := node.route(method)) is not None:
            return route.match
        segments = path[1:].split("/")
        if "%" in path:
            segments = [unquote(segment) for segment in segments]
        allowed: dict[str, None] = {}
        form: ErrorFormat | None = None
        for node, params in _walk(self._root, segments, 0, []):
            route = node.route(method)
            if route is not None:
                return Match(route, params, [])
            allowed.update(dict.fromkeys(node.routes))
            form = form or next(iter(node.routes.values()))[-1].error_format
        if not allowed:
            return _NOTHING
        if "GET" in allowed:
            allowed["HEAD"] = None
        return Match(None, [], sorted(allowed), form)


def _walk(
    node: _Node, segments: list[str], position: int, params: list[str]
) -> Iterator[tuple[_Node, list[str]]]:
    """Every node that fits, best first, with the values of its parameters."""
    if position == len(segments):
        if node.routes:
            yield node, params
        return
    segment = segments[position]
    children = node.children
    child = children.get("=" + segment)
    if child is not None:
        yield from _walk(child, segments, position + 1, params)
    child = children.get(PARAM)
    if child is not None and segment:
        yield from _walk(child, segments, position + 1, [*params, segment])
    child = children.get(REST)
    if child is not None:
        yield child, [*params, "/".join(segments[position:])]


def _touching(root: _Node, segments: tuple[str, ...]) -> Iterator[_Node]:
    """Every node whose pattern has a request in common with the segments."""
    todo = [(root, 0)]
    while todo:
        node, position = todo.pop()
        if position == len(segments):
            yield node
            continue
        kind = segments[position]
        if kind == REST:
            yield from _below(node)
            continue
        if kind == PARAM:
            kinds = [other for other in node.children if other != "="]
        else:
            kinds = [kind, REST] if kind == "=" else [kind, PARAM, REST]
        for other in kinds:
            child = node.children.get(other)
            if child is not None:
                todo.append((child, len(segments) if other == REST else position + 1))


def _below(node: _Node) -> Iterator[_Node]:
    todo = list(node.children.values())
    while todo:
        below = todo.pop()
        yield below
        todo.extend(below.children.values())


def _is_trusted(route: Route) -> bool:
    return route.access is None
