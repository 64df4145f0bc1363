"""Rare ways through the module."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import msgspec
import pytest
from tests.support.waiting import until

from iii_sdk.protocol import ErrorBody


async def test_absolute_target_and_plain_options(site: Any) -> None:
    site.function("h", 1)
    site.route("/a", "h")
    site.route("/a", "h", "OPTIONS")
    answer = await site.raw(b"GET http://x/a?b=1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert site.seen["h"][0]["query_params"] == {"b": "1"}
    assert (await site.client.options("/a")).json() == 1
    star = await site.raw(b"OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert star.startswith(b"HTTP/1.1 404 ")


async def test_too_many_query_fields(site: Any) -> None:
    site.function("h", 1)
    site.route("/a", "h")
    answer = await site.client.get("/a?" + "&".join(f"k{n}=1" for n in range(1001)))
    assert answer.status_code == 400
    assert (await site.client.get("/a")).json() == 1


async def test_raw_body_of_an_empty_request(site: Any) -> None:
    site.function("h", 1)
    site.route("/a", "h", "POST", raw_body=True)
    await site.client.post("/a")
    assert site.seen["h"][0]["raw_body"] == ""


async def test_types_that_end_in_json_are_parsed(site: Any) -> None:
    site.function("h", 1)
    site.route("/a", "h", "POST")
    headers = {"content-type": "application/ld+json; charset=utf-8"}
    await site.client.post("/a", content=b"[1]", headers=headers)
    assert site.seen["h"][0]["body"] == [1]


async def test_handler_may_set_the_headers_of_every_answer(site: Any) -> None:
    headers = {"access-control-allow-origin": "http://a", "X-Request-Id": "mine"}
    site.function("h", {"headers": headers, "body": 1})
    site.route("/a", "h")
    answer = await site.client.get("/a")
    assert answer.headers.get_list("access-control-allow-origin") == ["http://a"]
    assert answer.headers.get_list("x-request-id") == ["mine"]


async def test_unusable_request_ids_are_replaced(site: Any) -> None:
    site.function("h", 1)
    site.route("/a", "h")
    for wrong in ("x" * 300, "a\tb"):
        answer = await site.client.get("/a", headers={"x-request-id": wrong})
        assert len(answer.headers["x-request-id"]) == 36


async def test_an_unusable_request_id_is_not_handed_on_beside_the_new_one(site: Any) -> None:
    calls = site.slow("h")
    site.route("/a", "h")
    request = asyncio.ensure_future(site.client.get("/a", headers={"x-request-id": "a\tb"}))
    call = await asyncio.wait_for(calls.get(), 5)
    text = bytes(call.data)
    call.reply(b"1")
    answer = await request
    assert text.count(b'"x-request-id"') == 1
    assert answer.headers["x-request-id"].encode() in text


async def test_the_date_of_an_answer_is_the_engines(site: Any) -> None:
    site.function("h", {"headers": {"Date": "never"}, "body": 1})
    site.route("/a", "h")
    dates = (await site.client.get("/a")).headers.get_list("date")
    assert len(dates) == 1
    assert dates != ["never"]


@pytest.mark.parametrize("stage", ["condition", "middleware"])
async def test_client_that_leaves_before_the_handler(site: Any, stage: str) -> None:
    calls = site.slow("before")
    site.function("h", 1)
    key = "condition_function_id" if stage == "condition" else "middleware_function_ids"
    site.route("/a", "h", **{key: "before" if stage == "condition" else ["before"]})
    _, writer = await site.connect(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
    call = await asyncio.wait_for(calls.get(), 5)
    writer.close()
    await until(lambda: not site.module.listener.connections)
    call.reply(b'{"action":"continue"}')
    await until(lambda: site.module.gateway.admission.active == 0)
    assert site.seen["h"] == []


async def test_client_that_leaves_in_its_body(make_site: Any) -> None:
    site = await make_site(middleware=[{"function_id": "m"}])
    site.function("m", {"action": "continue"})
    site.function("h", 1)
    site.route("/a", "h", "POST")
    _, writer = await site.connect(
        b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        b"Content-Length: 9\r\n\r\n[1"
    )
    await until(lambda: site.seen["m"])
    writer.close()
    await until(lambda: not site.module.listener.connections)
    await until(lambda: site.module.gateway.admission.active == 0)
    assert site.seen["h"] == []


async def test_client_that_leaves_while_it_waits_for_its_turn(make_site: Any) -> None:
    site = await make_site(concurrency_request_limit=1)
    calls = site.slow("h")
    site.route("/a", "h")
    gateway = site.module.gateway
    first = asyncio.ensure_future(site.client.get("/a"))
    call = await asyncio.wait_for(calls.get(), 5)
    _, writer = await site.connect(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
    await until(lambda: gateway.admission.waiting)
    writer.close()
    await until(lambda: len(site.module.listener.connections) == 1)
    call.reply(b"1")
    await first
    await until(lambda: gateway.admission.active == 0)
    assert calls.empty()


async def test_client_that_leaves_keeps_its_place_until_the_handler_is_done(site: Any) -> None:
    calls = site.slow("h")
    site.route("/a", "h", input="flat")
    _, writer = await site.connect(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
    call = await asyncio.wait_for(calls.get(), 5)
    writer.close()
    await until(lambda: not site.module.listener.connections)
    assert site.module.gateway.admission.active == 1
    call.reply(b"1")
    assert site.module.gateway.admission.active == 0


async def test_upload_that_its_handler_does_not_read_on(site: Any) -> None:
    calls = site.slow("h")
    site.route("/a", "h", "POST")
    body = bytes(20 * 1024 * 1024)
    task = asyncio.ensure_future(
        site.client.post("/a", content=body, headers={"content-type": "x/y"})
    )
    call = await asyncio.wait_for(calls.get(), 5)
    ref = msgspec.json.decode(call.data)["request_body"]
    channel = site.engine.channels.find(ref["channel_id"], ref["access_key"], "read")
    await until(lambda: channel.full)
    channel.leave()
    call.reply(b"1")
    assert (await task).json() == 1


async def test_failures_are_logged_without_secrets(
    site: Any, caplog: pytest.LogCaptureFixture
) -> None:
    site.function("h", error=("boom", "no"))
    site.route("/a", "h")
    with caplog.at_level(logging.DEBUG, "iii.http"):
        answer = await site.client.get("/a?token=s3cret", headers={"authorization": "s3cret"})
    assert "s3cret" not in caplog.text
    assert answer.json()["error_id"] in caplog.text
    assert "/a?token" in caplog.text


async def test_schemas_of_the_trigger_type(site: Any) -> None:
    kind = site.engine.triggers.type_of("api")
    assert kind is not None
    assert b"api_path" in bytes(kind.trigger_request_format)
    assert b"path_params" in bytes(kind.call_request_format)
    await site.module.stop()
    assert site.engine.triggers.type_of("http") is None


async def test_openapi_of_a_described_function(make_site: Any) -> None:
    site = await make_site(openapi=True)
    site.engine.add_function(
        "h",
        lambda call: call.reply(b"1"),
        module="test",
        description="Does it",
        formats=(msgspec.Raw(b'{"type":"object"}'), msgspec.Raw(b'{"type":"integer"}')),
    )
    site.route("/a", "h")
    site.route("/b", "nobody", "POST")
    paths = (await site.client.get("/_iii/openapi.json")).json()["paths"]
    operation = paths["/a"]["get"]
    assert operation["summary"] == "Does it"
    assert operation["requestBody"]["content"]["application/json"]["schema"] == {"type": "object"}
    assert operation["responses"]["200"]["content"]["application/json"]["schema"] == {
        "type": "integer"
    }
    assert "requestBody" not in paths["/b"]["post"]


async def test_stack_traces_stay_in_the_log(site: Any, caplog: pytest.LogCaptureFixture) -> None:
    calls = site.slow("h")
    site.route("/a", "h")
    task = asyncio.ensure_future(site.client.get("/a"))
    call = await asyncio.wait_for(calls.get(), 5)
    site.engine.router.pending.pop(call.id)
    site.engine.router.finish(call, msgspec.Raw(b"null"), ErrorBody("boom", "no", "line 1"))
    assert "line 1" not in (await task).text
    assert "line 1" in caplog.text
