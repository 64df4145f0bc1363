"""Errors that the module answers by itself, in the form that a route wants."""

from __future__ import annotations

from typing import Any

import pytest

from iii_engine.modules.http.failure import body_of, formed

JSON = {"content-type": "application/json"}


def test_our_own_form_is_left_as_it_is() -> None:
    assert formed(body_of("x", error_id="1"), 500, None) == b'{"error":"x","error_id":"1"}'


@pytest.fixture
async def site(make_site: Any) -> Any:
    site = await make_site(body_limit=100, default_timeout=100)
    site.function("h", 1)
    site.route("/v1/a", "h", "POST", error_format="openai")
    return site


@pytest.mark.parametrize(
    ("method", "content", "status", "message", "code"),
    [
        ("POST", b"{", 400, "Invalid JSON body", "invalid_request"),
        ("POST", b'"' + b"x" * 200 + b'"', 413, "Payload Too Large", "payload_too_large"),
        ("PUT", b"1", 405, "Method Not Allowed", "method_not_allowed"),
    ],
)
async def test_requests_that_reach_no_handler(
    site: Any, method: str, content: bytes, status: int, message: str, code: str
) -> None:
    answer = await site.client.request(method, "/v1/a", content=content, headers=JSON)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/json"
    error = answer.json()["error"]
    error.pop("error_id", None)
    assert error == {
        "message": message,
        "type": "invalid_request_error",
        "param": None,
        "code": code,
    }
    if status == 405:
        assert answer.headers["allow"] == "POST"


async def test_handlers_that_fail_are_slow_or_are_not_there(site: Any) -> None:
    site.route("/v1/none", "nobody", error_format="openai")
    site.function("fails", error=("boom", "it broke"))
    site.route("/v1/fails", "fails", error_format="openai")
    site.slow("slow")
    site.route("/v1/slow", "slow", error_format="openai")
    found = {}
    for name in ("none", "fails", "slow"):
        answer = await site.client.get(f"/v1/{name}")
        error = answer.json()["error"]
        found[name] = (answer.status_code, error["type"], error["message"], error["code"])
    assert found == {
        "none": (500, "server_error", "Function nobody not found", "internal_error"),
        "fails": (500, "server_error", "it broke", "internal_error"),
        "slow": (504, "server_error", "Gateway Timeout", "timeout"),
    }


async def test_conditions_middleware_and_wrong_results(site: Any) -> None:
    site.function("no", False)
    site.route("/v1/condition", "h", error_format="openai", condition_function_id="no")
    answer = await site.client.get("/v1/condition")
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "condition_not_met")
    site.function("broken", error=("x", "no entry"))
    site.route("/v1/mw", "h", error_format="openai", middleware_function_ids=["broken"])
    answer = await site.client.get("/v1/mw")
    assert (answer.status_code, answer.json()["error"]["message"]) == (500, "no entry")
    site.function("odd", {"status_code": 7})
    site.route("/v1/odd", "odd", error_format="openai")
    answer = await site.client.get("/v1/odd")
    assert (answer.status_code, answer.json()["error"]["message"]) == (500, "invalid_status")


async def test_flat_routes_keep_the_code_of_their_handler(site: Any) -> None:
    site.function("f", error=("realm_not_found", "no such realm"))
    site.route("/v1/flat", "f", error_format="openai", input="flat")
    answer = await site.client.get("/v1/flat")
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "realm_not_found"


async def test_an_unknown_form_is_refused(site: Any) -> None:
    with pytest.raises(AssertionError, match="error_format"):
        site.route("/v1/x", "h", error_format="other")
