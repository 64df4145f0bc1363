"""Options that change while the module runs: nothing that need not end ends."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import httpx2
import msgspec
import pytest
from tests.support.servers import free_port, refused
from tests.support.waiting import until

from iii_engine.modules.http.options import HttpOptions


async def reconfigure(site: Any, **options: Any) -> None:
    """Change to these options; those not named are the site's own."""
    before = msgspec.to_builtins(site.module.options)
    new = msgspec.convert({**before, **options}, HttpOptions)
    assert await site.module.reconfigure(new)


class KeepAlive:
    """One connection that is used for several requests."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def to(cls, site: Any) -> KeepAlive:
        return cls(*await site.connect(b""))

    def ask(self, path: str, head: str = "", method: str = "GET", body: str = "") -> None:
        length = f"content-length: {len(body)}\r\ncontent-type: application/json\r\n" * bool(body)
        self.writer.write(
            f"{method} {path} HTTP/1.1\r\nhost: x\r\n{head}{length}\r\n{body}".encode()
        )

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        async with asyncio.timeout(5):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
            status, *lines = head.strip().split("\r\n")
            headers = dict(line.split(": ", 1) for line in lines)
            body = await self.reader.readexactly(int(headers.get("content-length", 0)))
        return int(status.split()[1]), headers, body

    async def get(self, path: str, head: str = "") -> tuple[int, dict[str, str], bytes]:
        self.ask(path, head)
        return await self.answer()


async def test_an_open_connection_goes_on_under_the_new_options(site: Any) -> None:
    site.function("h", lambda payload: payload["client_ip"])
    site.route("/a", "h")
    client = await KeepAlive.to(site)
    seen = "x-forwarded-for: 9.9.9.9\r\norigin: http://a\r\n"
    status, headers, body = await client.get("/a", seen)
    assert (status, body) == (200, b'"127.0.0.1"')
    assert headers["access-control-allow-origin"] == "*"
    await reconfigure(
        site,
        trust_proxy=True,
        request_id_header="X-Trace",
        cors={"allowed_origins": ["http://b"]},
        ignore_trailing_slash=True,
        openapi=True,
    )
    status, headers, body = await client.get("/a/", seen)
    assert (status, body) == (200, b'"9.9.9.9"')
    assert "x-trace" in headers
    assert not {"x-request-id", "access-control-allow-origin"} & set(headers)
    status, _, body = await client.get("/_iii/openapi.json")
    assert status == 200
    assert list(msgspec.json.decode(body)["paths"]) == ["/a"]
    await reconfigure(site, ignore_trailing_slash=False, openapi=False)
    assert (await client.get("/a/"))[0] == 404
    assert (await client.get("/_iii/openapi.json"))[0] == 404
    assert (await client.get("/a"))[0] == 200


async def test_routes_keep_their_order_when_the_table_is_made_again(site: Any) -> None:
    site.function("old", 1)
    site.function("new", 2)
    site.route("/a", "old")
    newest = site.route("/a", "new")
    await reconfigure(site, ignore_trailing_slash=True)
    assert (await site.client.get("/a/")).json() == 2
    site.engine.triggers.remove(newest)
    assert (await site.client.get("/a")).json() == 1


async def test_middleware_body_limit_and_not_found_function_change(site: Any) -> None:
    site.function("h", 1)
    site.function("lost", {"status_code": 404, "body": "lost"})
    site.function("guard", {"action": "respond", "response": {"status_code": 401}})
    site.route("/a", "h", "POST")
    await reconfigure(site, body_limit=2, not_found_function="lost")
    assert (await site.client.post("/a", json="long")).status_code == 413
    assert (await site.client.get("/nowhere")).text == '"lost"'
    await reconfigure(site, middleware=[{"function_id": "guard"}])
    assert (await site.client.post("/a", json=1)).status_code == 401
    await reconfigure(site, middleware=[])
    assert (await site.client.post("/a", json=1)).status_code == 200


async def test_a_request_under_way_is_answered_after_a_change(site: Any) -> None:
    calls = site.slow("h")
    site.route("/a", "h")
    client = await KeepAlive.to(site)
    client.ask("/a")
    call = await calls.get()
    await reconfigure(site, request_id_header="x-trace", default_timeout=20_000)
    call.reply(b"7")
    assert (await client.answer())[2] == b"7"


POST = b"POST /a HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 8\r\n\r\n"


async def half_a_body(site: Any) -> KeepAlive:
    """A connection whose request lacks the second half of its body, `:1}`."""
    client = await KeepAlive.to(site)
    client.writer.write(POST + b'{"ab')
    connections = site.module.listener.connections
    await until(lambda: any(it._current and it._current._size == 4 for it in connections))
    return client


async def test_a_body_under_way_is_read_to_its_end_after_a_change(site: Any) -> None:
    site.function("h", lambda payload: payload["body"])
    site.route("/a", "h", "POST")
    client = await half_a_body(site)
    await reconfigure(
        site,
        cors={"allowed_origins": ["http://b"]},
        body_limit=8,
        default_timeout=20_000,
        concurrency_request_limit=1,
    )
    client.writer.write(b'":1}')
    assert (await client.answer())[::2] == (200, b'{"ab":1}')
    # The connection goes on, under the new limits.
    client.ask("/a", method="POST", body="[1,2,3,4]")
    assert (await client.answer())[0] == 413


async def test_a_body_under_way_is_read_to_its_end_after_a_move(site: Any) -> None:
    site.function("h", lambda payload: payload["body"])
    site.route("/a", "h", "POST")
    client = await half_a_body(site)
    old = site.port
    await reconfigure(site, port=free_port())
    assert refused(old)
    client.writer.write(b'":1}')
    assert (await client.answer())[::2] == (200, b'{"ab":1}')
    assert await asyncio.wait_for(client.reader.read(), 5) == b""


@pytest.mark.parametrize("moved", [False, True])
async def test_an_answer_that_streams_goes_on_to_its_end(site: Any, moved: bool) -> None:
    calls = site.slow("h")
    site.route("/a", "h")
    client = await KeepAlive.to(site)
    client.ask("/a")
    ref = msgspec.json.decode((await calls.get()).data)["response"]
    channel = site.engine.channels.find(ref["channel_id"], ref["access_key"], "write")
    assert channel.attach_writer(Writer())
    channel.write(False, b"one")
    assert (await client.answer())[0] == 200
    assert await client.reader.readexactly(8) == b"3\r\none\r\n"
    await reconfigure(site, body_limit=8, **({"port": free_port()} if moved else {}))
    channel.write(False, b"more")
    assert await client.reader.readexactly(9) == b"4\r\nmore\r\n"
    channel.finish()
    assert await client.reader.readexactly(5) == b"0\r\n\r\n"
    if moved:
        assert await asyncio.wait_for(client.reader.read(), 5) == b""
    else:
        assert (await client.get("/none"))[0] == 404


class Writer:
    """The handler's end of the channel."""

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def end(self, code: int) -> None: ...


async def test_default_timeout_changes(site: Any) -> None:
    site.slow("h")
    site.route("/a", "h")
    await reconfigure(site, default_timeout=30)
    assert (await site.client.get("/a")).status_code == 504


async def test_a_higher_limit_lets_those_start_that_wait(make_site: Any) -> None:
    site = await make_site(concurrency_request_limit=1)
    calls = site.slow("h")
    site.route("/a", "h")
    requests = [asyncio.ensure_future(site.client.get("/a")) for _ in range(4)]
    first = await calls.get()
    await until(lambda: site.module.gateway.admission.waiting == 3)
    await reconfigure(site, concurrency_request_limit=3)
    started = [first, await calls.get(), await calls.get()]
    assert calls.empty()
    for call in started:
        call.reply(b"1")
    (await calls.get()).reply(b"1")
    assert [(await request).status_code for request in requests] == [200] * 4
    assert site.module.gateway.admission.active == 0


async def test_a_lower_limit_holds_when_enough_have_ended(make_site: Any) -> None:
    site = await make_site(concurrency_request_limit=3)
    calls = site.slow("h")
    site.route("/a", "h")
    requests = [asyncio.ensure_future(site.client.get("/a")) for _ in range(5)]
    running = [await calls.get() for _ in range(3)]
    await until(lambda: site.module.gateway.admission.waiting == 2)
    await reconfigure(site, concurrency_request_limit=1)
    for call in running[:2]:
        call.reply(b"1")
    await until(lambda: site.module.gateway.admission.active == 1)
    assert calls.empty()
    running[2].reply(b"1")
    for _ in range(2):
        call = await calls.get()
        assert calls.empty()
        call.reply(b"1")
    assert [(await request).status_code for request in requests] == [200] * 5
    assert site.module.gateway.admission.active == 0


# -- another address -----------------------------------------------------------------------------


async def test_another_port_serves_the_same_routes(site: Any) -> None:
    calls = site.slow("h")
    site.route("/a", "h")
    old, port = site.port, free_port()
    idle, busy = await KeepAlive.to(site), await KeepAlive.to(site)
    idle.ask("/none")
    assert (await idle.answer())[0] == 404
    busy.ask("/a")
    call = await calls.get()
    await reconfigure(site, port=port)
    assert site.module.address == ("127.0.0.1", port)
    assert refused(old)
    # What is idle ends at once, what is under way after its answer.
    assert await asyncio.wait_for(idle.reader.read(), 5) == b""
    call.reply(b"1")
    assert (await busy.answer())[2] == b"1"
    assert await asyncio.wait_for(busy.reader.read(), 5) == b""
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        request = asyncio.ensure_future(client.get("/a"))
        (await calls.get()).reply(b"2")
        assert (await request).json() == 2


async def test_another_host_on_the_same_port(site: Any) -> None:
    site.function("h", 1)
    site.route("/a", "h")
    port = site.port
    await reconfigure(site, host="0.0.0.0", port=port)
    assert site.module.address == ("0.0.0.0", port)
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.2:{port}") as client:
        assert (await client.get("/a")).json() == 1


@pytest.mark.parametrize("host", ["127.0.0.1", "203.0.113.1"])
async def test_an_address_that_cannot_be_had_changes_nothing(site: Any, host: str) -> None:
    site.function("h", 1)
    site.route("/a", "h")
    client = await KeepAlive.to(site)
    assert (await client.get("/a"))[0] == 200
    before = site.module.options
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1] if host == "127.0.0.1" else site.port
        with pytest.raises(OSError):
            await reconfigure(site, host=host, port=port, body_limit=1)
    assert site.module.options is before
    assert (await client.get("/a"))[0] == 200
    assert not refused(site.port)
