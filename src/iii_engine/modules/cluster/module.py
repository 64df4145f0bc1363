"""`iii-cluster`: several engines as one bus, over NATS.

A function that a worker registers at one engine can be called through each of them. Workers of the
own engine come first; of other engines the least busy one is asked, and another when it is gone or
has the function no longer. What modules offer stays with their engine.
"""

from __future__ import annotations

import asyncio
import logging
import os
import platform
import socket

from msgspec import Struct

from iii_engine.core.cluster.cluster import Cluster
from iii_engine.core.router import Call
from iii_engine.extras import need
from iii_engine.modules.base import Module, answering
from iii_engine.modules.cluster.carrier import Carrier
from iii_engine.modules.cluster.options import BadClusterOption, ClusterOptions, check, servers
from iii_engine.version import VERSION
from iii_sdk.protocol import WorkerMetadata

log = logging.getLogger("iii.cluster")

#: Seconds that a start waits for NATS. Without it the engine starts alone, and goes on trying.
PATIENCE = 1.0


class EngineRow(Struct):
    """Another engine. `active` calls of this engine's are under way there, `outstanding` of its
    are under way here."""

    id: str
    name: str
    version: str | None
    pid: int | None
    function_count: int
    active: int
    outstanding: int
    silent_ms: int


class ClusterStatus(Struct):
    """This engine's name and id, whether NATS can be reached, and the engines it knows."""

    id: str
    name: str
    cluster: str
    nats: str
    connected: bool
    engines: list[EngineRow]


class ClusterModule(Module[ClusterOptions]):
    kind = "iii-cluster"
    Options = ClusterOptions

    @classmethod
    def check(cls, options: ClusterOptions) -> None:
        check(options)

    async def start(self) -> None:
        self.check(self.options)
        need("nats", "the module iii-cluster")
        if any(module.kind == self.kind for module in self.host.modules.values()):
            raise BadClusterOption("an engine belongs to one cluster; another iii-cluster runs")
        options = self.options
        carrier = Carrier(servers(options), options.cluster)
        self.cluster = carrier.cluster = Cluster(
            self.engine,
            _metadata(options),
            carrier.wake,
            heartbeat_s=options.heartbeat_ms / 1000,
            silence_s=options.silence_ms / 1000,
        )
        self._carrier = carrier
        self.cluster.open()
        self.offer(
            "engine::cluster::status",
            answering(self._status),
            description="Which other engines this one knows, and how busy they are",
            response=ClusterStatus,
        )
        if not await carrier.open(PATIENCE):
            log.warning("NATS at %s is not there yet; this engine is alone", carrier.where)

    async def reconfigure(self, options: ClusterOptions) -> bool:
        """In place: the times. Another name or place needs another start."""
        old = self.options
        if (old.nats_url, old.name, old.cluster) != (
            options.nats_url,
            options.name,
            options.cluster,
        ):
            return False
        self.cluster.heartbeat_s = options.heartbeat_ms / 1000
        self.cluster.silence_s = options.silence_ms / 1000
        self._carrier.keep_pace()
        self.options = options
        return True

    def status(self) -> str:
        if self.cluster.connected:
            return super().status()
        return f"NATS at {self._carrier.where} cannot be reached; this engine is alone"

    async def drain(self, seconds: float) -> None:
        self.cluster.withdraw()
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while self.cluster.busy and loop.time() < end:  # noqa: ASYNC110  (the core knows no events)
            await asyncio.sleep(0.02)

    async def quiesce(self) -> None:
        self.cluster.withdraw()

    async def stop(self) -> None:
        if hasattr(self, "_carrier"):
            await self._carrier.close(self.cluster.close())
        await super().stop()

    def _status(self, call: Call) -> ClusterStatus:
        cluster = self.cluster
        now = self.engine.clock.monotonic_ns()
        rows = [
            EngineRow(
                peer.id,
                peer.name,
                peer.session.metadata.version,
                peer.session.metadata.pid,
                len(peer.offers),
                peer.session.active,
                peer.session.outstanding,
                (now - peer.heard_ns) // 1_000_000,
            )
            for peer in cluster.peers.values()
        ]
        return ClusterStatus(
            cluster.id,
            cluster.metadata.name or "",
            self.options.cluster,
            self._carrier.where,
            cluster.connected,
            sorted(rows, key=lambda row: (row.name, row.id)),
        )


def _metadata(options: ClusterOptions) -> WorkerMetadata:
    """What the others list as this engine."""
    return WorkerMetadata(
        runtime="engine",
        version=VERSION,
        name=options.name or f"{socket.gethostname()}:{os.getpid()}",
        os=platform.system().lower(),
        pid=os.getpid(),
        description="another engine on the bus",
    )
