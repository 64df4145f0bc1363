"""Several engines on one clock, joined by a carrier that the test can cut, without sockets."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from tests.support.bus import Bus, Peer

from iii_engine.core.clock import SeededIds, VirtualClock
from iii_engine.core.cluster.cluster import Cluster, Parcel
from iii_engine.core.engine import Engine
from iii_sdk.protocol import WorkerMetadata


class Node(Bus):
    """One engine of a mesh."""

    def __init__(self, mesh: Mesh, name: str) -> None:
        self.clock = mesh.clock
        mesh.seeds += 1
        self.engine = Engine(mesh.clock, SeededIds(mesh.seeds))
        self.mesh = mesh
        self.cluster = Cluster(
            self.engine,
            WorkerMetadata(name=name, runtime="engine", pid=mesh.seeds),
            lambda: mesh.wakes.append(self),
            heartbeat_s=1,
            silence_s=4,
        )
        self.cluster.packet_bytes = mesh.packet_bytes
        self.dead = False
        self.frozen = False
        self.carried = True  # its carrier answers

    @property
    def functions(self) -> dict[str, str]:
        """What can be called here, and who is asked first."""
        found = {}
        for function in self.engine.registry:
            session = function.newest.session
            found[function.id] = "" if session is None else session.name
        return found

    def worker(self, *functions: str) -> Peer:
        """A worker with these functions; everybody knows them afterwards."""
        worker = self.peer(*functions)
        self.mesh.run()
        return worker

    def kill(self) -> None:
        """It is gone without a word."""
        self.dead = True


class Mesh:
    """Delivers in the order of sending. `lose` says whether a parcel from one engine
    to another gets lost."""

    def __init__(self, *names: str, packet_bytes: int = 1000) -> None:
        self.clock = VirtualClock()
        self.seeds = 0
        self.packet_bytes = packet_bytes
        self.wakes: deque[Node] = deque()
        self.post: deque[tuple[Node, Parcel]] = deque()
        self.lose: Callable[[Node, Node, Parcel], bool] = lambda sender, receiver, parcel: False
        self.nodes: list[Node] = []
        for name in names:
            self.add(name)

    def add(self, name: str) -> Node:
        node = Node(self, name)
        self.nodes.append(node)
        node.cluster.open()
        node.cluster.connect()
        self.run()
        return node

    def send(self, sender: Node, parcels: list[Parcel]) -> None:
        self.post += [(sender, parcel) for parcel in parcels]

    def run(self) -> None:
        """Until nothing is on its way."""
        for _ in range(100_000):
            if not self.step():
                return
        raise AssertionError("the engines never stop talking")

    def step(self) -> bool:
        """Send what one engine has, or deliver one parcel; False when there is nothing to do."""
        if self.wakes:
            node = self.wakes.popleft()
            if not node.dead:
                self.send(node, node.cluster.take())
        elif self.post:
            self.deliver(*self.post.popleft())
        else:
            return False
        return True

    def deliver(self, sender: Node, parcel: Parcel) -> None:
        receivers = [
            node
            for node in self.nodes
            if node is not sender and parcel.to in (None, node.cluster.id) and self.hears(node)
        ]
        for node in receivers:
            if self.lose(sender, node, parcel):
                continue
            if parcel.to is None:
                node.cluster.announced(parcel.payload)
            else:
                node.cluster.received(sender.cluster.id, parcel.payload)
        if parcel.to and not receivers and parcel.number is not None and self.hears(sender):
            sender.cluster.undeliverable(parcel.to, parcel.number)

    def hears(self, node: Node) -> bool:
        return not node.dead and node.cluster.connected

    def wait(self, seconds: float) -> None:
        """Let time pass in small steps, everybody at the same pace."""
        for _ in range(round(seconds * 10)):
            self.clock.advance(0.1)
            for node in self.nodes:
                if not node.dead and not node.frozen:
                    if node.carried and node.cluster.connected:
                        node.cluster.heard()
                    node.engine.advance()
            self.run()

    def ask(self, caller: Peer, function_id: str, data: Any = None, **fields: Any) -> str:
        """Call a function and have the call arrive; returns the invocation id."""
        call = caller.ask(function_id, data, **fields)
        self.run()
        return call

    def answer(self, worker: Peer, **fields: Any) -> dict[str, Any]:
        """Answer the only call that a worker has got, and have the answer arrive."""
        invocation = worker.only()
        worker.answer(invocation, **fields)
        self.run()
        return invocation
