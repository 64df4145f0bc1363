"""The routes table on its own."""

from __future__ import annotations

from typing import Any

import pytest

from iii_engine.modules.http.routes import Route, RouteConfig, Routes, read_config
from iii_sdk.errors import InvalidInput


def table(*routes: str, **options: Any) -> Routes:
    """Routes from `METHOD path`, with that text as id and function."""
    made = Routes(**options)
    for text in routes:
        method, path = text.split()
        made.add(Route(text, text, RouteConfig(path, method)))
    return made


def found(routes: Routes, method: str, path: str) -> tuple[str | None, list[str]]:
    match = routes.find(method, path)
    return (match.route.function_id if match.route else None), match.params


def test_static_wins_over_parameter_over_wildcard() -> None:
    routes = table("GET /a/b", "GET /a/:x", "GET /a/*rest", "GET /:x/b")
    assert found(routes, "GET", "/a/b") == ("GET /a/b", [])
    assert found(routes, "GET", "/a/c") == ("GET /a/:x", ["c"])
    assert found(routes, "GET", "/a/c/d") == ("GET /a/*rest", ["c/d"])
    assert found(routes, "GET", "/z/b") == ("GET /:x/b", ["z"])


def test_a_branch_that_leads_nowhere_is_left_again() -> None:
    routes = table("GET /a/b/c", "GET /a/:x/d", "GET /*all")
    assert found(routes, "GET", "/a/b/d") == ("GET /a/:x/d", ["b"])
    assert found(routes, "GET", "/a/b/e") == ("GET /*all", ["a/b/e"])


def test_method_of_a_less_exact_route() -> None:
    routes = table("POST /a/b", "GET /a/:x")
    assert found(routes, "GET", "/a/b") == ("GET /a/:x", ["b"])
    assert routes.find("PUT", "/a/b").allowed == ["GET", "HEAD", "POST"]
    assert found(routes, "HEAD", "/a/c") == ("GET /a/:x", ["c"])


def test_parameters_need_a_value() -> None:
    routes = table("GET /a/:x", "GET /f/*rest")
    assert found(routes, "GET", "/a/")[0] is None
    assert found(routes, "GET", "/a")[0] is None
    assert found(routes, "GET", "/f/") == ("GET /f/*rest", [""])
    assert found(routes, "GET", "/f")[0] is None


def test_trailing_slash() -> None:
    strict = table("GET /a", "GET /b/")
    assert found(strict, "GET", "/a/")[0] is None
    assert found(strict, "GET", "/b")[0] is None
    assert found(strict, "GET", "/b/")[0] == "GET /b/"
    loose = table("GET /a", "GET /b/", "GET /c/:x/", ignore_trailing_slash=True)
    for path in ("/a", "/a/", "/b", "/b/", "/c/1", "/c/1/"):
        assert found(loose, "GET", path)[0] is not None
    for trigger in ("GET /a", "GET /b/", "GET /c/:x/"):
        loose.remove(trigger)
    assert found(loose, "GET", "/b")[0] is None


def test_root_and_encoded_static_segments() -> None:
    routes = table("GET /", "GET /café/x")
    assert found(routes, "GET", "/")[0] == "GET /"
    assert found(routes, "GET", "/caf%C3%A9/x")[0] == "GET /café/x"


def test_removing_leaves_nothing_behind() -> None:
    routes = table("GET /a/:x/b", "GET /a/:x")
    routes.remove("GET /a/:x/b")
    routes.remove("GET /a/:x/b")
    assert found(routes, "GET", "/a/1/b")[0] is None
    assert found(routes, "GET", "/a/1")[0] == "GET /a/:x"
    routes.remove("GET /a/:x")
    assert not routes._root.children
    assert list(routes) == []


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        (b"{}", "api_path is required for http triggers"),
        (b"null", "api_path is required for http triggers"),
        (b"null", "http trigger"),
        (b"{", "http trigger"),
        (b'{"api_path":""}', "api_path is required"),
        (b'{"api_path":5}', r"api_path"),
        (b'{"api_path":"/a","http_method":"BREW"}', r"\$.http_method"),
        (b'{"api_path":"/a","input":"deep"}', r"\$.input"),
        (b'{"api_path":"/a","middleware_function_ids":"m"}', r"\$.middleware_function_ids"),
    ],
)
def test_wrong_config(config: bytes, reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason):
        read_config(config)


@pytest.mark.parametrize("path", ["/*all/x", "/:a/{a}", "/a" * 257])
def test_wrong_path(path: str) -> None:
    with pytest.raises(InvalidInput, match=r"\$.api_path"):
        Route("t", "f", RouteConfig(path))


def test_method_in_any_case_and_condition_alias() -> None:
    config = read_config(b'{"api_path":"a","http_method":"post","_condition_path":"c"}')
    route = Route("t", "f", config)
    assert (route.method, route.condition, route.plain) == ("POST", "c", False)
