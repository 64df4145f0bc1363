"""Clients that send their bodies slowly keep nobody waiting, and are bounded themselves."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from tests.support.waiting import until

HEAD = (
    b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
)


def echo(site: Any, **config: Any) -> None:
    site.function("h", lambda payload: payload["body"])
    site.route("/a", "h", "POST", **config)


async def trickling(site: Any, count: int, sent: bytes = b"[1") -> list[Any]:
    """Clients of which a part of the body has arrived."""
    clients = [await site.connect(HEAD % 1000 + sent) for _ in range(count)]
    await until(lambda: len(site.module.gateway.late_bodies._incomplete) == count)
    return clients


@pytest.mark.parametrize("middleware", [[], [{"function_id": "m"}]])
async def test_slow_bodies_keep_nobody_waiting(make_site: Any, middleware: list[Any]) -> None:
    site = await make_site(concurrency_request_limit=2, middleware=middleware)
    site.function("m", {"action": "continue"})
    echo(site)
    clients = await trickling(site, 3)
    assert site.module.gateway.admission.active == 0
    assert (await site.client.post("/a", json={"x": 1})).json() == {"x": 1}
    for reader, writer in clients:
        writer.write(b" " * 997 + b"]")
        assert (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n[1]"), 5)).startswith(
            b"HTTP/1.1 200"
        )
    assert site.module.gateway.admission.active == 0
    assert site.module.gateway.late_bodies.size == 0


async def test_a_body_has_the_time_of_its_request(make_site: Any) -> None:
    site = await make_site(default_timeout=100)
    echo(site)
    ((reader, writer),) = await trickling(site, 1)

    async def trickle() -> None:
        while True:
            writer.write(b" ")
            await asyncio.sleep(0.01)

    trickler = asyncio.ensure_future(trickle())
    answer = await asyncio.wait_for(reader.read(), 5)
    trickler.cancel()
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert answer.endswith(b'{"error":"Request Timeout"}')
    assert site.module.gateway.admission.active == 0
    assert site.seen["h"] == []


async def test_a_streamed_body_may_take_longer_than_the_answer_head(make_site: Any) -> None:
    site = await make_site(default_timeout=5000)
    calls = site.slow("h")
    site.route("/a", "h", "POST")
    head = b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Type: x/y\r\nContent-Length: 1000\r\n\r\n"
    reader, writer = await site.connect(head)
    call = await asyncio.wait_for(calls.get(), 5)
    ref = msgspec.json.decode(call.data)["request_body"]
    channel = site.engine.channels.find(ref["channel_id"], ref["access_key"], "read")
    for piece in range(10):
        writer.write(b"x" * 100)
        await until(lambda sent=piece: channel._bytes == 100 * (sent + 1))
        listener = site.module.listener
        listener.now += 29
        (connection,) = listener.connections
        connection.check(listener.now)
    call.reply(b"1")
    assert (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)).startswith(b"HTTP/1.1 200")


async def test_a_late_body_waits_only_behind_those_that_were_late_before(make_site: Any) -> None:
    site = await make_site(concurrency_request_limit=1)
    calls = site.slow("h")
    site.route("/a", "h", "POST")
    clients = await trickling(site, 2)
    first = asyncio.ensure_future(site.client.post("/a", json="first"))
    busy = await asyncio.wait_for(calls.get(), 5)
    later = asyncio.ensure_future(site.client.post("/a", json="later"))
    admission = site.module.gateway.admission
    await until(lambda: admission.waiting == 1)
    for count, (_, writer) in enumerate(clients, 2):
        writer.write(b",%996d]" % count)
        await until(lambda count=count: admission.waiting == count)
    busy.reply(b"1")
    seen = []
    for _ in range(3):
        call = await asyncio.wait_for(calls.get(), 5)
        seen.append(msgspec.json.decode(call.data)["body"])
        call.reply(b"1")
    assert seen == [[1, 2], [1, 3], "later"]
    await asyncio.gather(first, later)
    assert admission.active == 0


async def test_clients_that_leave_with_a_late_body(make_site: Any) -> None:
    site = await make_site(concurrency_request_limit=1)
    calls = site.slow("h")
    site.route("/a", "h", "POST")
    (_, unfinished), (_, finished) = await trickling(site, 2)
    first = asyncio.ensure_future(site.client.post("/a", json=1))
    busy = await asyncio.wait_for(calls.get(), 5)
    gateway = site.module.gateway
    finished.write(b" " * 997 + b"]")
    await until(lambda: gateway.admission.waiting == 1)
    assert gateway.late_bodies.size >= 1000
    finished.close()
    unfinished.close()
    await until(lambda: gateway.late_bodies.size == 0)
    assert gateway.admission.waiting == 0
    busy.reply(b"1")
    await first
    assert gateway.admission.active == 0
    assert calls.empty()


async def test_all_late_bodies_together_are_bounded(make_site: Any) -> None:
    site = await make_site()
    echo(site)
    bodies = site.module.gateway.late_bodies
    bodies.limit = 1500
    (oldest, _), (second, writer) = await trickling(site, 2)
    writer.write(b" " * 500)
    await until(lambda: bodies.size >= 500)
    third, more = await site.connect(HEAD % 1100 + b"[1")
    await until(lambda: len(bodies._incomplete) == 3)
    more.write(b" " * 1097)
    answer = await asyncio.wait_for(oldest.read(), 5)
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"retry-after: 1" in answer
    assert (await asyncio.wait_for(second.read(), 5)).startswith(b"HTTP/1.1 503 ")
    more.write(b"]")
    assert (await asyncio.wait_for(third.readuntil(b"[1]"), 5)).startswith(b"HTTP/1.1 200")
    assert bodies.size == 0


async def test_nothing_is_kept_of_clients_that_left_while_they_waited(make_site: Any) -> None:
    site = await make_site(concurrency_request_limit=1)
    calls = site.slow("h")
    site.route("/a", "h")
    first = asyncio.ensure_future(site.client.get("/a"))
    busy = await asyncio.wait_for(calls.get(), 5)
    admission = site.module.gateway.admission
    writers = [(await site.connect(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n"))[1] for _ in range(5)]
    await until(lambda: admission.waiting == 5)
    for writer in writers:
        writer.close()
    await until(lambda: admission.waiting == 0)
    busy.reply(b"1")
    await first
    assert admission.active == 0


async def test_a_request_that_waited_too_long_is_not_begun(make_site: Any) -> None:
    site = await make_site(concurrency_request_limit=1)
    calls = site.slow("h")
    site.route("/a", "h")
    first = asyncio.ensure_future(site.client.get("/a"))
    busy = await asyncio.wait_for(calls.get(), 5)
    second = asyncio.ensure_future(site.client.get("/a"))
    gateway = site.module.gateway
    await until(lambda: gateway.admission.waiting == 1)
    gateway.time = lambda: gateway.loop.time() + 31
    busy.reply(b"1")
    await first
    assert (await second).status_code == 504
    assert calls.empty()
    assert gateway.admission.active == 0
