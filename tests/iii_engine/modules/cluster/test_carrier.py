"""The way of messages to NATS, when something goes wrong on it."""

from __future__ import annotations

from tests.support.servers import NatsServer
from tests.support.waiting import until

from iii_engine.core.clock import SeededIds, VirtualClock
from iii_engine.core.cluster.cluster import Cluster, Parcel
from iii_engine.core.engine import Engine
from iii_engine.modules.cluster.carrier import Carrier
from iii_sdk.protocol import WorkerMetadata


async def test_a_fault_does_not_silence_the_engine(nats_server: NatsServer) -> None:
    engine = Engine(VirtualClock(), SeededIds(1))
    carrier = Carrier([nats_server.url], "c")
    metadata = WorkerMetadata(name="a", runtime="engine", pid=1)
    cluster = carrier.cluster = Cluster(engine, metadata, carrier.wake, heartbeat_s=1, silence_s=4)
    cluster.open()
    try:
        assert await carrier.open(5)
        take, failed = cluster.take, []

        def once() -> list[Parcel]:
            if not failed:
                failed.append(True)
                raise RuntimeError("a fault")
            return take()

        cluster.take = once  # type: ignore[method-assign]
        carrier.wake()
        await until(lambda: failed and cluster.connected)
        assert not any(task.done() for task in carrier._tasks[1:])
    finally:
        await carrier.close([])
