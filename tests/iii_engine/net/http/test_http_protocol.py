"""HTTP/1.1 on a real socket: framing, order, limits, closing."""

from __future__ import annotations

import asyncio
import itertools
import re

import pytest
from tests.support.http_server import CLOSE, TEXT, Echo, Server, get
from tests.support.waiting import until

from iii_engine.net.http_listener import HttpListener
from iii_engine.net.http_protocol import HEAD_PIECE, MAX_AHEAD


async def test_pipelined_requests_are_answered_in_order(server: Server) -> None:
    reader, _ = await server.connect(get("/later") + get("/b") + get("/c", CLOSE))
    first = await asyncio.wait_for(server.app.later.get(), 5)
    assert server.app.bodies == []
    first.respond(200, TEXT, b"a")
    answer = await asyncio.wait_for(reader.read(), 5)
    bodies = [part.rpartition(b"\r\n\r\n")[2] for part in answer.split(b"HTTP/1.1 200 OK")]
    assert bodies == [b"", b"a", b"GET /b ", b"GET /c "]


async def test_many_pipelined_requests_do_not_recurse(server: Server) -> None:
    answer = await server.talk(get("/a") * 100 + get("/b", CLOSE))
    assert answer.count(b"HTTP/1.1 200") == 101


async def test_any_number_of_pipelined_requests_is_answered_in_order(server: Server) -> None:
    data = b"".join(get(f"/{n}") for n in range(5000)) + get("/last", CLOSE)
    answer = await server.talk(data)
    assert [int(n) for n in re.findall(rb"GET /(\d+) ", answer)] == [*range(5000)]
    assert answer.endswith(b"GET /last ")


async def test_requests_far_ahead_of_their_answers_wait_unread(server: Server) -> None:
    reader, writer = await server.connect(get("/later"))
    exchange = await asyncio.wait_for(server.app.later.get(), 5)
    (connection,) = server.listener.connections
    sent = b"".join(get(f"/{n}") for n in range(50_000)) + get("/last", CLOSE)
    writer.write(sent)
    await until(lambda: connection._rest)
    assert MAX_AHEAD <= len(connection._queue) < 2 * MAX_AHEAD + HEAD_PIECE // 26
    assert not connection._reading
    exchange.respond(200, TEXT, b"first")
    answer = await asyncio.wait_for(reader.read(), 10)
    assert answer.count(b"HTTP/1.1 200") == 50_002
    assert answer.endswith(b"GET /last ")


@pytest.mark.parametrize("chunked", [False, True])
async def test_bodies_among_many_pipelined_requests(server: Server, *, chunked: bool) -> None:
    if chunked:
        one = get("/a", "Transfer-Encoding: chunked", method="POST") + b"50\r\n%b\r\n0\r\n\r\n"
    else:
        one = get("/a", "Content-Length: 80", method="POST") + b"%b"
    bodies = [b"%080d" % n for n in range(3000)]
    answer = await server.talk(b"".join(one % body for body in bodies) + get("/last", CLOSE))
    assert [body for body in server.app.bodies if body] == bodies
    assert answer.endswith(b"GET /last ")


async def test_broken_request_behind_many_is_told_after_their_answers(server: Server) -> None:
    answer = await server.talk(get("/a") * 3000 + b"BROKEN\r\n\r\n" + b"x" * 500_000)
    assert answer.count(b"HTTP/1.1 200") == 3000
    assert answer.count(b"HTTP/1.1 ") == 3001


async def test_refused_body_that_goes_on_is_cut_after_a_while(server: Server) -> None:
    head = get("/a", "Transfer-Encoding: chunked", method="POST")
    reader, _ = await server.connect(head + b"ff\r\n" + b"x" * 255)
    assert b" 413 " in await asyncio.wait_for(reader.read(), 5)
    server.age(3)
    await until(lambda: not server.listener.connections)


async def test_many_answers_of_one_connection_let_others_have_their_turn(server: Server) -> None:
    reader, _ = await server.connect(get("/a") * 2000 + get("/last", CLOSE))
    answered = [0]
    while answered[-1] < 2001:
        await asyncio.sleep(0)
        answered.append(len(server.app.bodies))
    assert max(b - a for a, b in itertools.pairwise(answered)) <= 2 * MAX_AHEAD
    assert (await asyncio.wait_for(reader.read(), 5)).endswith(b"GET /last ")


async def test_body_in_pieces(server: Server) -> None:
    reader, writer = await server.connect(get("/a", "Content-Length: 6", method="POST") + b"abc")
    await writer.drain()
    await asyncio.sleep(0)
    writer.write(b"def")
    await asyncio.wait_for(reader.readuntil(b"POST /a abcdef"), 5)


async def test_chunked_body_with_extension_and_trailer(server: Server) -> None:
    answer = await server.talk(
        get("/a", "Transfer-Encoding: chunked", CLOSE, method="POST")
        + b"3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nX-T: 1\r\n\r\n"
    )
    assert answer.endswith(b"POST /a abcde")


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (get("/a", "Content-Length: 3", "Transfer-Encoding: chunked", method="POST"), 400),
        (get("/a", "Transfer-Encoding: chunked", "Content-Length: 3", method="POST"), 400),
        (get("/a", "Content-Length: 3", "Content-Length: 3", method="POST"), 400),
        (get("/a", "Content-Length: 3, 3", method="POST"), 400),
        (get("/a", "Content-Length: +3", method="POST"), 400),
        (get("/a", "Content-Length: 99999999999999999999999", method="POST"), 400),
        (get("/a", "Transfer-Encoding: xchunked", method="POST") + b"0\r\n\r\n", 501),
        (get("/a", "Transfer-Encoding: chunked, identity", method="POST"), 400),
        (get("/a", "Transfer-Encoding: gzip, chunked", method="POST") + b"0\r\n\r\n", 501),
        (get("/a", "X: 1\r\n 2"), 400),
        (get("/a", "X : 1"), 400),
        (get("/a", "X: a\0b"), 400),
        (b"GET /a HTTP/1.1\nHost: x\n\n", 400),
        (b"GET /a HTTP/1.1\r\nHost: x\nX: y\r\n\r\n", 400),
        (b"GET /a HTTP/1.1\r\nHost: x\rX: y\r\n\r\n", 400),
        (b"GET /a HTTP/1.1\r\n\r\n", 400),
        (get("/a", "Host: y"), 400),
        (b"POST /a HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"GET /a\r\n\r\n", 505),
        (b"GET /a HTTP/2.0\r\nHost: x\r\n\r\n", 505),
        (b"BREW /a HTTP/1.1\r\nHost: x\r\n\r\n", 501),
        (b"CONNECT a:80 HTTP/1.1\r\nHost: x\r\n\r\n", 405),
        (get("/a", "Expect: miracles"), 417),
        (
            get("/a", "Connection: upgrade", "Upgrade: h2c", "Content-Length: 3", method="POST")
            + b"abc",
            501,
        ),
        (get("/" + "a" * 20_000), 414),
        (get("/a", *(f"X-{n}: 1" for n in range(200))), 431),
        (get("/a", "X: " + "a" * 70_000), 431),
        (b"GET /a HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 100_000, 431),
        (get("/a", "Transfer-Encoding: chunked", method="POST") + b"0x3\r\nabc\r\n", 400),
        (get("/a", "Transfer-Encoding: chunked", method="POST") + b"3\nabc\r\n", 400),
        (
            get("/a", "Transfer-Encoding: chunked", method="POST") + b"0\r\nX: " + b"a" * 300_000,
            431,
        ),
    ],
)
async def test_what_an_attack_could_hide_in_is_refused(
    server: Server, request_bytes: bytes, status: int
) -> None:
    smuggled = get("/smuggled")
    answer = await server.talk(request_bytes + smuggled)
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b"connection: close" in answer
    assert server.app.bodies == []


@pytest.mark.parametrize("host", ["a b/@", "a/b", "user@a", "a?b", "a#b", "[::1", "a:1:2", "a:x"])
async def test_what_is_no_host_is_refused(server: Server, host: str) -> None:
    answer = await server.talk(f"GET /a HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    "host", ["", "a", "a.b:80", "127.0.0.1:3111", "[::1]:80", "[::1]", "b\u00fc"]
)
async def test_names_and_addresses_are_hosts(server: Server, host: str) -> None:
    answer = await server.talk(f"GET /a HTTP/1.1\r\nHost: {host}\r\n{CLOSE}\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    "chunks",
    [
        b"-3\r\nabc\r\n0\r\n\r\n",
        b" 3\r\nabc\r\n0\r\n\r\n",
        b"3\r\nabcd\r\n0\r\n\r\n",
        b"3\r\nabc0\r\n\r\n",
        b"3\r\nabc\n0\r\n\r\n",
        b"3;\nx\r\nabc\r\n0\r\n\r\n",
        b"3\r\r\nabc\r\n0\r\n\r\n",
        b"fffffffffffffffff\r\nabc",
        b"\r\n",
        b"0\n\n",
        b"0\r\nX : 1\r\n\r\n",
        b"0\r\n folded: 1\r\n\r\n",
    ],
)
async def test_chunks_that_two_readers_could_read_differently(
    server: Server, chunks: bytes
) -> None:
    """Whatever is wrong with a chunk, nothing behind it counts as a request."""
    head = get("/a", "Transfer-Encoding: chunked", method="POST")
    answer = await server.talk(head + chunks + get("/smuggled"))
    assert b"smuggled" not in answer
    assert b"HTTP/1.1 400 " in answer
    assert answer.endswith(b"}") or b"connection: close" in answer


async def test_requests_before_a_broken_one_are_answered(server: Server) -> None:
    answer = await server.talk(get("/a") + b"nonsense\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"HTTP/1.1 501 " in answer


async def test_body_over_the_limit(server: Server) -> None:
    declared = await server.talk(
        get("/a", "Content-Length: 101", CLOSE, method="POST") + b"x" * 101
    )
    assert declared.startswith(b"HTTP/1.1 413 ")
    counted = await server.talk(
        get("/a", "Transfer-Encoding: chunked", method="POST") + b"65\r\n" + b"x" * 101
    )
    assert counted.startswith(b"HTTP/1.1 413 ")


async def test_expect_100_continue(server: Server) -> None:
    head = get("/a", "Content-Length: 3", "Expect: 100-continue", method="POST")
    reader, writer = await server.connect(head)
    assert await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5) == (
        b"HTTP/1.1 100 Continue\r\n\r\n"
    )
    writer.write(b"abc")
    await asyncio.wait_for(reader.readuntil(b"POST /a abc"), 5)


async def test_unread_body_closes_after_the_answer(server: Server) -> None:
    reader, writer = await server.connect(
        get("/ignore", "Content-Length: 1000000", method="POST") + b"x"
    )
    answer = await asyncio.wait_for(reader.readuntil(b"ignored"), 5)
    assert b"connection: close" in answer
    writer.write(b"x" * 100_000)  # read and dropped, so that no reset eats the answer
    assert await asyncio.wait_for(reader.read(), 5) == b""


async def test_upgrade_is_ignored(server: Server) -> None:
    answer = await server.talk(get("/a", "Connection: upgrade", "Upgrade: h2c") + get("/b", CLOSE))
    assert b"GET /a " in answer
    assert b"GET /b " in answer


async def test_http_1_0(server: Server) -> None:
    closed = await server.talk(b"GET /a HTTP/1.0\r\n\r\n")
    assert b"connection: close" in closed
    reader, _ = await server.connect(b"GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    kept = await asyncio.wait_for(reader.readuntil(b"GET /a "), 5)
    assert b"connection: keep-alive" in kept


async def test_date_and_no_length_for_204(server: Server) -> None:
    reader, _ = await server.connect(get("/later"))
    (await asyncio.wait_for(server.app.later.get(), 5)).respond(204, b"", b"")
    answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    assert b"\r\ndate: " in answer
    assert b"content-length" not in answer


async def test_crash_of_the_application_cuts_the_connection(server: Server) -> None:
    reader, _ = await server.connect(get("/crash"))
    try:
        assert await asyncio.wait_for(reader.read(), 5) == b""
    except ConnectionResetError:
        pass


async def test_client_that_leaves(server: Server) -> None:
    _, writer = await server.connect(get("/later"))
    exchange = await asyncio.wait_for(server.app.later.get(), 5)
    gone = asyncio.Event()
    exchange.on_close = gone.set
    writer.close()
    await asyncio.wait_for(gone.wait(), 5)
    assert exchange.closed
    exchange.respond(200, TEXT, b"nobody")
    exchange.begin(200, b"")
    exchange.write(b"x")
    exchange.end()
    exchange.abort()


async def test_stop_finishes_what_is_under_way(server: Server) -> None:
    busy, _ = await server.connect(get("/later"))
    idle, _ = await server.connect(get("/a"))
    await asyncio.wait_for(idle.readuntil(b"GET /a "), 5)
    exchange = await asyncio.wait_for(server.app.later.get(), 5)
    closing = asyncio.ensure_future(server.listener.close(5))
    assert await asyncio.wait_for(idle.read(), 5) == b""
    exchange.respond(200, TEXT, b"done")
    answer = await asyncio.wait_for(busy.read(), 5)
    assert answer.endswith(b"done")
    assert b"connection: close" in answer
    await asyncio.wait_for(closing, 5)
    with pytest.raises(OSError):
        await asyncio.open_connection("127.0.0.1", server.port)


async def test_stop_refuses_what_has_no_answer_when_the_time_is_over(server: Server) -> None:
    waiting, _ = await server.connect(get("/later"))
    await asyncio.wait_for(server.app.later.get(), 5)
    body = b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf"
    uploading, _ = await server.connect(body)
    await server.connect(get("/later"))
    exchange = await asyncio.wait_for(server.app.later.get(), 5)
    exchange.begin(200, TEXT)
    exchange.write(b"a part")
    await until(lambda: len(server.listener.connections) == 3)
    await server.listener.close(0.05)
    for refused in (waiting, uploading):
        answer = await asyncio.wait_for(refused.read(), 5)
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"connection: close" in answer
    assert exchange.closed


async def test_port_in_use(server: Server) -> None:
    with pytest.raises(OSError):
        await HttpListener(Echo()).open("127.0.0.1", server.port)
