"""The span of a request, and how requests are counted."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.waiting import until

from iii_engine.core.sampling import Rule, Sampler
from iii_engine.core.spans import Span
from iii_engine.modules.http.options import HttpOptions
from iii_engine.modules.http.span import _without_port

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"


def spans(site: Any) -> dict[str, Span]:
    return {span.name: span for span in site.engine.spans}


def counted(site: Any) -> dict[tuple[str, ...], float]:
    reading = site.engine.meters.reading("iii.http.requests")
    return dict(reading.points)


async def test_a_request_is_the_root_of_what_it_causes(site: Any) -> None:
    site.function("h", {"body": 1})
    site.function("m", {"action": "continue"})
    site.function("c", True)
    site.route("/orders/:id", "h", middleware_function_ids=["m"], condition_function_id="c")
    await site.client.get(
        "/orders/7?a=1&to%6ben=s3cret",
        headers={"user-agent": "me", "content-type": "text/x", "host": "shop:80"},
    )
    found = spans(site)
    root = found["GET /orders/:id"]
    assert (root.kind, root.status, root.parent_span_id) == ("server", "ok", None)
    for name in ("call h", "call m", "call c"):
        assert (found[name].trace_id, found[name].parent_span_id) == (root.trace_id, root.span_id)
    assert dict(root.attributes) == {
        "http.request.method": "GET",
        "http.route": "/orders/:id",
        "url.path": "/orders/7",
        "url.query": "a=1&to%6ben=[REDACTED]",
        "url.scheme": "http",
        "url.full": "http://shop:80/orders/7?a=1&to%6ben=[REDACTED]",
        "server.address": "shop",
        "user_agent.original": "me",
        "http.request.header.content_type": "text/x",
        "http.request.body.size": 0,
        "http.response.status_code": 200,
        "iii.function.kind": "user",
    }
    assert root.start_ns <= found["call h"].start_ns <= found["call h"].end_ns <= root.end_ns


async def test_a_caller_with_a_trace_is_the_parent(site: Any) -> None:
    site.function("h", {"body": 1})
    site.route("/h", "h", "POST")
    await site.client.post("/h", json={"x": 1}, headers={"traceparent": PARENT})
    found = spans(site)
    root = found["POST /h"]
    assert (root.trace_id, root.parent_span_id) == (TRACE, "b7ad6b7169203331")
    assert (found["call h"].trace_id, found["call h"].parent_span_id) == (TRACE, root.span_id)
    assert root.attribute("http.request.body.size") == len(b'{"x":1}')


@pytest.mark.parametrize("header", ["nonsense", "00-" + "z" * 32 + "-" + "b" * 16 + "-01"])
async def test_a_traceparent_that_is_none_begins_a_new_trace(site: Any, header: str) -> None:
    site.function("h", {"body": 1})
    site.route("/h", "h")
    await site.client.get("/h", headers={"traceparent": header})
    assert spans(site)["GET /h"].parent_span_id is None


async def test_failures_are_errors(site: Any) -> None:
    site.function("h", error=("boom", "it broke"))
    site.function("no", {"status_code": 404, "body": {}})
    site.route("/h", "h")
    site.route("/no", "no")
    await site.client.get("/h")
    await site.client.get("/no")
    found = spans(site)
    assert (found["GET /h"].status, found["GET /h"].status_description) == ("error", "HTTP 500")
    assert found["GET /no"].status == "ok"
    assert counted(site) == {("/h", "500"): 1, ("/no", "404"): 1}


async def test_a_client_that_goes_ends_the_span(site: Any) -> None:
    calls = site.slow("slow")
    site.route("/slow", "slow")
    _, writer = await site.connect(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
    call = await calls.get()
    writer.close()
    root = await until(lambda: spans(site).get("GET /slow"))
    assert (root.status, root.status_description) == ("error", "the client has gone")
    call.reply(b"1")
    assert [span.name for span in site.engine.spans] == ["GET /slow", "call slow"]
    assert counted(site) == {}


async def test_other_methods_and_paths_without_a_route(site: Any) -> None:
    site.function("h", {"body": 1})
    site.route("/h", "h")
    await site.client.head("/h")
    await site.module.reconfigure(HttpOptions(host="127.0.0.1", port=0, not_found_function="h"))
    await site.client.get("/some/where")
    found = spans(site)
    assert found["HEAD /h"].attribute("http.route") == "/h"
    assert found["GET"].attribute("http.route") is None
    assert found["GET"].attribute("url.path") == "/some/where"
    assert counted(site) == {("/h", "200"): 1, ("", "200"): 1}


async def test_sampling_and_switching_off(site: Any) -> None:
    site.function("h", {"body": 1})
    site.route("/h", "h")
    site.engine.trace(Sampler("iii", 1.0, [Rule("GET /h", None, 0.0)]))
    await site.client.get("/h")
    site.engine.trace(None, enabled=False)
    await site.client.get("/h")
    assert spans(site) == {}
    assert counted(site) == {("/h", "200"): 2}


@pytest.mark.parametrize(
    ("host", "address"),
    [("a.b:80", "a.b"), ("a.b", "a.b"), ("[::1]:80", "[::1]"), ("[::1]", "[::1]"), ("", "")],
)
def test_addresses_without_ports(host: str, address: str) -> None:
    assert _without_port(host) == address
