"""Several real engines in this process, on one real NATS server."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.support.engine import RunningEngine
from tests.support.servers import NatsServer
from tests.support.waiting import until

from iii_engine.modules.cluster import ClusterModule


class Joined(RunningEngine):
    """An engine of a cluster."""

    def __init__(self, name: str, server: NatsServer, **options: object) -> None:
        cluster = {"nats_url": server.url, "name": name, "heartbeat_ms": 200, "silence_ms": 2500}
        super().__init__({"iii-cluster": {**cluster, **options}})
        self.name = name

    @property
    def module(self) -> ClusterModule:
        module = self.app.modules["iii-cluster"]
        assert isinstance(module, ClusterModule)
        return module

    @property
    def peers(self) -> set[str]:
        """The names of the engines it knows."""
        return {peer.name for peer in self.module.cluster.peers.values()}

    async def knows(self, *function_ids: str) -> None:
        """Wait until these can be called here."""
        await until(lambda: all(f in self.core.registry for f in function_ids), f"{function_ids}")

    async def misses(self, function_id: str) -> None:
        """Wait until there is no such function here."""
        await until(lambda: function_id not in self.core.registry, f"no {function_id}")

    async def sees(self, *names: str) -> None:
        """Wait until it knows exactly these engines."""
        await until(lambda: self.peers == set(names), f"{self.name} sees {names}")


@pytest.fixture
async def engines(nats_server: NatsServer) -> AsyncIterator[list[Joined]]:
    """Three of them, which know each other."""
    joined = [Joined(name, nats_server) for name in "abc"]
    for engine in joined:
        await engine.start()
    for engine in joined:
        await engine.sees(*({"a", "b", "c"} - {engine.name}))
    yield joined
    for engine in joined:
        await engine.stop()
