from __future__ import annotations

import asyncio
import json
import logging

import pytest

from iii_sdk import BusError, Unavailable, Worker, connect
from iii_sdk.address import Address
from iii_sdk.backoff import Backoff
from iii_sdk.connection import Connection, State
from iii_sdk.errors import Timeout, TooLarge
from iii_sdk.metadata import worker_metadata
from iii_sdk.outbox import HELD_CALLS
from iii_sdk.registrations import TypeHandler
from iii_sdk.websocket import WebSocketEndpoint


def echo_worker() -> Worker:
    worker = Worker("echo")

    @worker.function("echo::it")
    async def echo(request: object) -> object:
        return request

    return worker


def provided(engine, function_id: str) -> bool:
    return function_id in engine.core.registry


@pytest.mark.parametrize("code", [1000, 1001, 1005, 1008, 1011, 1012, 1013, None])
async def test_wire_case_90_every_end_of_the_socket_leads_to_a_new_one(
    engine, serve, wait_until, code
):
    await serve(echo_worker())
    assert await engine.call("echo::it", {"a": 1}) == {"a": 1}
    if code == 1005:
        for socket in list(engine.sockets):
            socket.transport.underlying_transport.write(b"\x88\x00")
            socket.transport.disconnect()
    else:
        engine.cut(code)
    await wait_until(lambda: not provided(engine, "echo::it"))
    await wait_until(lambda: provided(engine, "echo::it"))
    assert await engine.call("echo::it", {"a": 2}) == {"a": 2}
    assert engine.connections == 2


async def test_wire_case_10_functions_answer_again_after_the_engine_was_killed(
    engine, serve, wait_until
):
    await serve(echo_worker())
    await engine.stop()
    await engine.start()
    await wait_until(lambda: provided(engine, "echo::it"))
    assert await engine.call("echo::it", [1]) == [1]


async def test_wire_case_52_registrations_made_while_the_engine_is_down(engine, serve, wait_until):
    worker = echo_worker()
    await serve(worker)
    await engine.stop()

    @worker.function("echo::late")
    async def late() -> str:
        return "late"

    await engine.start()
    await wait_until(lambda: provided(engine, "echo::late"))
    assert await engine.call("echo::late") == "late"


async def test_reconnecting_begins_with_reattach_and_metadata(engine, serve, wait_until):
    engine.record = True
    await serve(echo_worker())
    (first,) = engine.sockets
    assert first.frames[0]["function_id"] == "engine::workers::register"
    assert first.frames[1]["type"] == "registerfunction"
    engine.cut(1012)
    await wait_until(lambda: engine.connections == 2 and len(engine.sockets[0].frames) >= 3)
    frames = engine.sockets[0].frames
    assert frames[0] == {
        "type": "reattach",
        "previous_worker_id": first.session.id,
        "reattach_token": first.session.reattach_token,
    }
    assert frames[1]["function_id"] == "engine::workers::register"
    assert frames[2]["id"] == "echo::it"


async def test_wire_case_43_a_call_times_out(engine, bus):
    never = asyncio.Event()
    worker = Worker("slow")

    @worker.function("slow::never")
    async def wait() -> None:
        await never.wait()

    ready = asyncio.Event()
    task = asyncio.create_task(worker.serve(engine.url, ready=ready))
    await ready.wait()
    with pytest.raises(Timeout, match="invocation timed out after 60ms") as raised:
        await bus.call("slow::never", timeout=0.06)
    assert raised.value.code == "TIMEOUT"
    assert raised.value.function_id == "slow::never"
    never.set()  # the late answer is dropped
    assert await bus.call("slow::never") is None
    await worker.stop()
    await task


async def test_calls_made_while_disconnected_go_out_afterwards(engine, wait_until):
    async with connect(engine.url) as bus:
        await engine.stop()
        await wait_until(lambda: bus.connection.state is not State.CONNECTED)
        calls = [asyncio.create_task(bus.call("engine::channels::create", {})) for _ in range(3)]
        with pytest.raises(Timeout):
            await bus.call("engine::channels::create", {}, timeout=0.02)
        bus.send("engine::channels::create", {})
        await engine.start()
        answers = await asyncio.gather(*calls)
        assert len({answer["writer"]["channel_id"] for answer in answers}) == 3
        await wait_until(lambda: len(engine.pipes) == 4)


async def test_a_call_waits_no_longer_for_a_connection_than_it_is_told_to(engine, wait_until):
    await engine.stop()
    connection = Connection(
        WebSocketEndpoint(Address(engine.url)), worker_metadata("w"), backoff=Backoff(initial=0.01)
    )
    task = asyncio.create_task(connection.run())
    short = connection.request("echo::it", b"1", 0.05, patience=30)
    with pytest.raises(Unavailable, match=r"no connection .* within 0\.1 s") as raised:
        await connection.request("echo::it", b"1", 60, patience=0.1)
    assert (raised.value.code, raised.value.function_id) == ("not_connected", "echo::it")
    assert not short.done()  # its own time begins when it is sent
    engine.deaf = True
    await engine.start()
    with pytest.raises(Timeout):
        await short
    await connection.close()
    await task


async def test_while_a_call_waits_the_pauses_between_attempts_are_short(
    engine, wait_until, monkeypatch
):
    monkeypatch.setattr("iii_sdk.reconnection.HURRY_SECONDS", 0.05)
    await engine.stop()
    endpoint = WebSocketEndpoint(Address(engine.url))
    connection = Connection(endpoint, worker_metadata("w"), backoff=Backoff(initial=600))
    task = asyncio.create_task(connection.run())
    await wait_until(lambda: connection.state is State.DISCONNECTED and connection.epoch == 1)
    call = connection.request("echo::it", b"1", 60, patience=30)
    await wait_until(lambda: connection.epoch > 2)
    await engine.start()
    with pytest.raises(BusError, match="function_not_found"):
        await call
    await connection.close()
    await task


async def test_the_queue_of_a_disconnected_client_is_bounded(engine, wait_until, caplog):
    async with connect(engine.url) as bus:
        await engine.stop()
        await wait_until(lambda: bus.connection.state is not State.CONNECTED)
        first = asyncio.create_task(bus.call("engine::channels::create", {}, timeout=30))
        await asyncio.sleep(0)
        for _ in range(HELD_CALLS):
            bus.send("engine::channels::create", {})
        await engine.start()
        with pytest.raises(Unavailable) as raised:
            await first
        assert raised.value.code == "connection_overloaded"
        await wait_until(lambda: len(engine.pipes) == HELD_CALLS)
    assert "dropped the oldest" in caplog.text


async def test_a_call_in_flight_fails_when_the_connection_is_lost(engine, bus, serve):
    worker = Worker("slow")
    entered = asyncio.Event()

    @worker.function("slow::never")
    async def wait() -> None:
        entered.set()
        await asyncio.Event().wait()

    await serve(worker)
    call = asyncio.create_task(bus.call("slow::never"))
    await entered.wait()
    engine.cut()
    with pytest.raises(Unavailable) as raised:
        await call
    assert raised.value.code == "connection_lost"


async def test_answers_of_a_lost_connection_are_dropped(engine, serve, wait_until):
    worker = Worker("late")
    entered, leave, left = asyncio.Event(), asyncio.Event(), asyncio.Event()

    @worker.function("late::answer")
    async def answer() -> str:
        entered.set()
        await leave.wait()
        left.set()
        return "late"

    await serve(worker)
    call = asyncio.create_task(engine.call("late::answer"))
    await entered.wait()
    engine.cut()
    with pytest.raises(LookupError, match="invocation_stopped"):
        await call
    await wait_until(lambda: provided(engine, "late::answer"))
    leave.set()
    await left.wait()
    assert await engine.call("late::answer") == "late"
    assert engine.core.router.counters.dropped_results == 0


async def test_wire_case_87_closing_fails_pending_calls_with_shutdown(engine):
    async with connect(engine.url) as bus:
        engine.deaf = True
        call = asyncio.create_task(bus.call("x::y"))
        await asyncio.sleep(0)
        await bus.connection.close()
        await bus.connection.close()
        with pytest.raises(Unavailable) as raised:
            await call
        assert raised.value.code == "SHUTDOWN"
        with pytest.raises(Unavailable, match="SHUTDOWN"):
            await bus.call("x::y")
        bus.send("x::y")
    assert bus.connection.state is State.CLOSED


async def test_a_refused_worker_says_why_once_and_keeps_trying(engine, wait_until, caplog):
    engine.refuse = "invalid token"
    connection = Connection(_endpoint(engine), worker_metadata("refused"))
    task = asyncio.create_task(connection.run())
    await wait_until(lambda: engine.connections >= 3)
    assert connection.auth_error == "invalid token"
    assert caplog.text.count("invalid token") == 1
    engine.refuse = None
    await wait_until(lambda: connection.state is State.CONNECTED)
    assert connection.auth_error is None
    await connection.close()
    await task


async def test_the_token_is_sent_with_every_socket(engine, monkeypatch):
    monkeypatch.setenv("III_TOKEN", "secret")
    async with connect(engine.url):
        assert engine.sockets[0].headers["authorization"] == "Bearer secret"


async def test_no_engine_is_said_plainly():
    with pytest.raises(Unavailable, match=r"no engine at ws://127\.0\.0\.1:9"):
        async with connect("ws://127.0.0.1:9", timeout=0.05):
            pass


async def test_a_large_message_goes_in_fragments(engine, bus, serve, wait_until):
    await serve(echo_worker())
    text = "ä" * (9 * 1024 * 1024)  # 18 MiB
    frames = engine.frames
    engine.deaf = True
    bus.send("echo::it", text)
    await wait_until(lambda: engine.frames >= frames + 18)


async def test_a_message_beyond_64_mib_is_refused_here(bus):
    with pytest.raises(TooLarge) as raised:
        await bus.call("echo::it", "x" * (64 * 1024 * 1024 + 1))
    assert raised.value.code == "payload_too_large"
    assert "channel" in raised.value.message


async def test_fragmented_messages_are_put_together(engine, bus, wait_until):
    call = asyncio.create_task(bus.call("x::y"))
    engine.deaf = True
    await wait_until(lambda: bus.connection._calls._pending)
    call_id = next(iter(bus.connection._calls._pending))
    answer = json.dumps(
        {"type": "invocationresult", "invocation_id": call_id, "result": "ä" * 10},
        ensure_ascii=False,
    ).encode()
    (socket,) = engine.sockets
    write = socket.transport.underlying_transport.write
    pieces = [answer[:90], answer[90:91], answer[91:]]
    for index, (opcode, fin) in enumerate(((1, 0), (0, 0), (0, 0x80))):
        write(bytes((opcode | fin, len(pieces[index]))) + pieces[index])
        if index == 0:
            write(b"\x89\x00")  # a ping between the pieces
    assert await call == "ä" * 10


async def test_one_bad_message_does_not_end_the_connection(engine, bus):
    (socket,) = engine.sockets
    from picows import WSMsgType

    for text in (b"", b"nonsense", b"[]", b'{"type":"bogus"}', b'{"type":"invocationresult"}'):
        socket.transport.send(WSMsgType.TEXT, text)
    socket.transport.send(WSMsgType.BINARY, b"\0\xff")
    assert await bus.call("engine::channels::create", {})
    assert engine.connections == 1


async def test_an_application_ping_is_answered(engine, bus, wait_until):
    from picows import WSMsgType

    engine.record = True
    (socket,) = engine.sockets
    socket.transport.send(WSMsgType.TEXT, b'{"type":"ping"}')
    await wait_until(lambda: {"type": "pong"} in socket.frames)


async def test_a_silent_engine_is_left(engine, bus, monkeypatch, wait_until):
    monkeypatch.setattr("iii_sdk.reconnection.PING_SECONDS", 0.03)
    engine.cut()
    await wait_until(lambda: engine.connections > 1 and engine.sockets)
    connections = engine.connections
    engine.sockets[-1].transport.underlying_transport.pause_reading()
    await wait_until(lambda: engine.connections > connections)


async def test_wire_case_55_a_trigger_type_owned_by_a_worker(engine, serve, wait_until):
    owner, user = Worker("owner"), Worker("user")
    bound: list[tuple[str, str]] = []

    async def register(trigger) -> None:
        if b"bad" in bytes(trigger.config):
            raise BusError("url is required", code="trigger_registration_failed")
        bound.append(("bind", trigger.function_id))

    async def unregister(trigger) -> None:
        bound.append(("unbind", trigger.id))

    owner.trigger_type("webhook", TypeHandler(register, unregister), description="Webhooks")
    await serve(owner)
    from iii_sdk import bind

    @user.function("user::good", bind("webhook", {"url": "x"}))
    async def good() -> None: ...

    @user.function("user::bad", bind("webhook", {"bad": True}))
    async def bad() -> None: ...

    await serve(user)
    await wait_until(lambda: bound == [("bind", "user::good")])
    await wait_until(lambda: len(list(engine.core.triggers)) == 1)
    user.remove("user::good")
    await wait_until(lambda: len(bound) == 2)
    assert bound[1][0] == "unbind"


def test_backoff_grows_and_forgets_only_after_a_stable_connection():
    backoff = Backoff(jitter=0)
    assert [backoff.next() for _ in range(7)] == [1, 2, 4, 8, 16, 30, 30]
    backoff.ended(4.9)
    assert backoff.next() == 30
    backoff.ended(5.0)
    assert backoff.next() == 1
    assert all(0.7 <= Backoff().next() <= 1.3 for _ in range(50))


def _endpoint(engine):
    from iii_sdk.address import Address
    from iii_sdk.websocket import WebSocketEndpoint

    return WebSocketEndpoint(Address(engine.url))


@pytest.fixture(autouse=True)
def _quiet(caplog):
    caplog.set_level(logging.INFO)


async def test_closing_does_not_wait_for_an_engine_that_never_answers():
    accepted, release, finished = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def swallow(reader, writer) -> None:
        accepted.set()
        await release.wait()
        writer.write_eof()
        await reader.read()
        writer.close()
        finished.set()

    server = await asyncio.start_server(swallow, "127.0.0.1", 0)
    worker = echo_worker()
    port = server.sockets[0].getsockname()[1]
    task = asyncio.create_task(worker.serve(f"ws://127.0.0.1:{port}"))
    await accepted.wait()
    async with asyncio.timeout(20):
        await worker.stop()
        await task
        release.set()
        await finished.wait()
    server.close()
