"""What happens around the calls of the published clients 0.11.6: presence, loss, return, codecs.

Numbers are cases of the wire protocol §18.
"""

from __future__ import annotations

import asyncio
import re
import socket

import pytest
from tests.support.clients import Start, ask, bound, names
from tests.support.engine import RunningEngine
from tests.support.raw_worker import RawWorker
from tests.support.relay import Relay
from tests.support.waiting import until

from iii_engine.net import websocket

PUBLISHED = ("py-0.11.6", "js-0.11.6")


async def test_wire_case_11_a_worker_with_a_blocked_loop_stays(
    start: Start, engine: RunningEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It answers no ping for many times as long as two of them are apart."""
    client = await start("py-0.11.6")
    monkeypatch.setattr(websocket, "SWEEP_SECONDS", 0.02)
    monkeypatch.setattr(websocket, "PING_SECONDS", 0.04)
    listener = engine.app.modules["iii-worker-manager"].listener
    listener._sweep()
    (before,) = engine.core.sessions
    assert await ask(client, "py-0.11.6::block", 2.0) == {"result": 2.0}
    assert list(engine.core.sessions) == [before]


@pytest.mark.parametrize("kind", PUBLISHED)
async def test_wire_case_19_the_default_name(
    kind: str, start: Start, engine: RunningEngine
) -> None:
    await start(kind, name="")
    (session,) = engine.core.sessions.values()
    await until(lambda: session.metadata.pid is not None)
    assert re.fullmatch(re.escape(socket.gethostname()) + r":\d+", session.name)
    assert session.name.endswith(f":{session.metadata.pid}")
    assert session.metadata.telemetry is not None
    framework = {"py-0.11.6": "iii-py", "js-0.11.6": "iii-node"}[kind]
    assert session.metadata.telemetry.framework == framework


async def test_wire_case_41_what_json_cannot_say(start: Start) -> None:
    python = await start("py-0.11.6")
    await start("js-0.11.6")
    assert await ask(python, "js-0.11.6::echo", [float("nan"), 1]) == {"result": [None, 1]}
    strange = [2**70, "\ud800"]
    assert await ask(python, "py-0.11.6::echo", strange) == {"result": strange}


@pytest.mark.parametrize("kind", PUBLISHED)
async def test_wire_case_42_context_goes_through_a_handler(
    kind: str, start: Start, engine: RunningEngine
) -> None:
    """A call that a handler makes belongs to the trace of the call it handles.

    The Python client forgets the baggage when it starts its span.
    """
    await start(kind)
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    async with RawWorker(engine.url) as worker:
        await worker.register("w::end")
        called = asyncio.ensure_future(
            worker.call(
                f"{kind}::relay",
                {"function_id": "w::end", "payload": {}},
                traceparent=f"00-{trace}-00f067aa0ba902b7-01",
                baggage="tenant=acme",
            )
        )
        inner = await worker.invoked("w::end")
        assert inner["traceparent"].split("-")[1] == trace
        assert inner.get("baggage") == ("tenant=acme" if kind.startswith("js") else None)
        await worker.answer(inner, 1)
        assert await called == 1


@pytest.mark.promise(
    "Connections",
    "A worker that comes back before its loss was noticed loses nothing; no event comes twice.",
)
@pytest.mark.parametrize("kind", PUBLISHED)
async def test_wire_case_50_a_late_cleanup_takes_nothing_away(
    kind: str, engine: RunningEngine, relay: Relay, start: Start
) -> None:
    """Both connections are there for a while; nothing happens twice."""
    client = await start(kind, relay.url)
    (lost,) = engine.core.sessions.values()
    relay.strand()
    await until(lambda: len(engine.core.sessions) == 2, "it is back", 30)
    await until(lambda: names(engine).count(kind) == 2, "it says who it is")

    async def seen() -> list[str]:
        return [e["key"] for e in (await ask(client, f"{kind}::events"))["result"]]

    async def heard(*keys: str) -> bool:
        return await seen() == list(keys)

    await until(lambda: f"{kind}::on-state" in bound(engine), "it has bound its triggers")
    await ask(client, "state::set", {"scope": "watched", "key": "both", "value": 1})
    await until(lambda: heard("both"), "the event came once")
    engine.core.disconnect(lost)
    assert await ask(client, f"{kind}::echo", 1) == {"result": 1}
    await ask(client, "state::set", {"scope": "watched", "key": "one", "value": 1})
    await until(lambda: heard("both", "one"), "each event came once")


@pytest.mark.parametrize("kind", PUBLISHED)
async def test_wire_case_53_calls_made_while_away_are_done_later(
    kind: str, start: Start, engine: RunningEngine
) -> None:
    client = await start(kind)
    await engine.stop()
    waiting = asyncio.ensure_future(ask(client, f"{kind}::echo", "kept", timeout_ms=30_000))
    await asyncio.wait((waiting,), timeout=0.2)
    await engine.start()
    assert await waiting == {"result": "kept"}
