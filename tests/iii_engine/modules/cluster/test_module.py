"""Options of `iii-cluster`, and how it changes them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.iii_engine.modules.cluster.conftest import Joined
from tests.support.desk import running
from tests.support.engine import RunningEngine
from tests.support.servers import NatsServer, free_port

from iii_engine.module_set import StartError
from iii_engine.modules.cluster import ClusterModule
from iii_engine.modules.cluster.options import ClusterOptions
from iii_sdk.errors import BusError


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"nats_url": " , "}, r"\$.nats_url: no address"),
        ({"nats_url": "http://x:1"}, r"\$.nats_url: 'http://x:1' is not nats://host:port"),
        ({"nats_url": "nats://x:99999"}, r"\$.nats_url"),
        ({"nats_url": "bad://me:secret@x"}, r"\$.nats_url: 'bad://me:\*\*\*@x' is not"),
        ({"cluster": "a.b"}, r"\$.cluster: expected 1 to 64 letters"),
        ({"name": " "}, r"\$.name: it is empty"),
        ({"heartbeat_ms": 0}, r"\$.heartbeat_ms: at least 10"),
        ({"silence_ms": 1500}, r"\$.silence_ms: at least two heartbeats \(2000\)"),
    ],
)
def test_options_that_cannot_work_are_refused(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(BusError, match=reason) as refused:
        ClusterModule.check(msgspec.convert(options, ClusterOptions))
    assert "secret" not in refused.value.message


async def test_without_a_name_it_is_called_by_host_and_process() -> None:
    options = {"nats_url": f"nats://127.0.0.1:{free_port()}"}
    async with running(ClusterModule, options) as desk:
        status = desk.ask("engine::cluster::status")
    assert ":" in status["name"]
    assert not status["connected"]
    assert status["engines"] == []


async def test_an_engine_belongs_to_one_cluster(nats_server: NatsServer) -> None:
    engine = Joined("a", nats_server)
    await engine.start()
    async with running(ClusterModule, {"nats_url": nats_server.url}) as desk:
        second = ClusterModule("iii-cluster#1", ClusterOptions(), desk.module.host)
        desk.module.host.modules["iii-cluster"] = desk.module
        with pytest.raises(BusError, match="belongs to one cluster"):
            await second.start()
        await second.stop()
    await engine.stop()


async def test_a_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("iii_engine.extras.find_spec", lambda name: None)
    engine = RunningEngine({"iii-cluster": {}})
    with pytest.raises(StartError, match=r"agentos\[nats\]"):
        await engine.start()


async def test_times_change_in_place_and_a_name_with_another_start(
    engines: list[Joined],
) -> None:
    a, b, _ = engines
    module, options = a.module, a.module.options
    assert await module.reconfigure(msgspec.structs.replace(options, silence_ms=2000))
    assert module.cluster.silence_s == 2
    assert not await module.reconfigure(msgspec.structs.replace(options, name="other"))
    assert b.peers == {"a", "c"}
    await module.drain(1)
    assert module.options.name == "a"
