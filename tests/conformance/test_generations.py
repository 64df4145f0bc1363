"""Published clients of every generation on one listener at one time.

Numbers are cases of the wire protocol §18; what is new in which generation is in its §17.
"""

from __future__ import annotations

import json

import pytest
from tests.support.clients import Start, ask, bound, fetch, names
from tests.support.engine import RunningEngine
from tests.support.published import CLIENTS
from tests.support.relay import Relay
from tests.support.waiting import until

NEWEST = ("py-0.25.0", "js-0.22.1")
OLDER = ("py-0.11.6", "js-0.11.6", "js-0.11.2")


@pytest.mark.promise(
    "Connections",
    "Published clients of three generations work on one listener at the same time.",
)
@pytest.mark.parametrize("kind", CLIENTS)
async def test_wire_case_91_each_client_alone(
    kind: str, start: Start, engine: RunningEngine
) -> None:
    client = await start(kind)
    assert await ask(client, f"{kind}::echo", [1, "ä", None]) == {"result": [1, "ä", None]}
    failed = (await ask(client, f"{kind}::fail", {}))["error"]
    assert failed["code"] == "invocation_failed"
    assert "it broke" in failed["message"]
    assert (await ask(client, "no::body", {}))["error"]["code"] == "function_not_found"
    assert await ask(client, f"{kind}::echo", {}, action="void") == {"result": None}
    (row,) = [
        w
        for w in (await ask(client, "engine::workers::list", {}))["result"]["workers"]
        if w["name"] == kind
    ]
    assert row["version"] == CLIENTS[kind][1]
    assert row["runtime"] == CLIENTS[kind][0].partition("-")[0]
    status, body = await fetch(f"{engine.http_url}/{kind}/greet/ann%20b?q=1", {"n": 7})
    assert status == 201
    assert json.loads(body) == {"hello": "ann b", "body": {"n": 7}, "query": {"q": "1"}}
    status, body = await fetch(f"{engine.http_url}/{kind}/stream")
    assert (status, body) == (202, b"data: 1\n\ndata: 2\n\ndata: 3\n\n")
    await ask(client, "state::set", {"scope": "watched", "key": "k", "value": 1})

    async def seen() -> bool:
        events = (await ask(client, f"{kind}::events"))["result"]
        return [e["event_type"] for e in events] == ["state:created"]

    await until(seen, "the event came")


async def test_wire_case_91_all_generations_call_each_other(start: Start) -> None:
    clients = {kind: await start(kind) for kind in CLIENTS}
    for caller, client in clients.items():
        for callee in CLIENTS:
            relay = {"function_id": f"{callee}::echo", "payload": {"from": [caller]}}
            result = (await ask(client, f"{callee}::relay", relay))["result"]
            assert result["from"] == [caller]


async def test_wire_case_91_triggers_list_means_types_to_the_newest(start: Start) -> None:
    clients = {kind: await start(kind) for kind in CLIENTS}
    for kind in NEWEST:
        rows = (await ask(clients[kind], "engine::triggers::list", {}))["result"]["triggers"]
        assert {"http", "state"} <= {row["id"] for row in rows}
        assert all({"namespace", "worker_name", "description"} <= row.keys() for row in rows)
    for kind in OLDER:
        rows = (await ask(clients[kind], "engine::triggers::list", {}))["result"]["triggers"]
        assert {f"{kind}::greet" for kind in CLIENTS} <= {row["function_id"] for row in rows}
        assert {"http", "state"} <= {row["trigger_type"] for row in rows}


@pytest.mark.parametrize("kind", CLIENTS)
async def test_wire_case_91_clients_come_back_after_a_restart(
    kind: str, start: Start, engine: RunningEngine
) -> None:
    client, other = await start(kind), "py-0.11.6" if kind != "py-0.11.6" else "js-0.11.6"
    await start(other)
    await engine.restart()
    for name in (kind, other):
        await until(lambda name=name: f"{name}::on-state" in bound(engine), "it is back", 30)
    await until(lambda: sorted(names(engine)) == sorted((kind, other)), "it says who it is", 30)
    relay = {"function_id": f"{kind}::echo", "payload": {"n": 1}}
    answer = await ask(client, f"{other}::relay", relay, timeout_ms=10_000)
    assert answer["result"]["n"] == 1
    status, _ = await fetch(f"{engine.http_url}/{kind}/greet/again", {})
    assert status == 201


@pytest.mark.parametrize("kind", CLIENTS)
async def test_wire_case_91_a_lost_connection_is_replaced(
    kind: str, engine: RunningEngine, relay: Relay, start: Start
) -> None:
    """The engine does not notice the loss. The newest clients tell it by `reattach`; of the others
    the newer connection answers, and the older one is there until its silence ends it."""
    client = await start(kind, relay.url)
    (lost,) = engine.core.sessions.values()
    relay.strand()
    await until(lambda: any(s is not lost for s in engine.core.sessions.values()), "it is back", 30)
    if kind in NEWEST:
        await until(lambda: lost.id not in engine.core.sessions, "the old one is retired")
    else:
        assert lost.id in engine.core.sessions
        engine.core.disconnect(lost)
    await until(lambda: f"{kind}::on-state" in bound(engine), "it has registered again")
    await until(lambda: names(engine) == [kind], "it says who it is")
    assert await ask(client, f"{kind}::echo", 5, timeout_ms=10_000) == {"result": 5}
    status, _ = await fetch(f"{engine.http_url}/{kind}/greet/again", {})
    assert status == 201
