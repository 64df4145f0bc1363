"""Engines in virtual time with everything that can go wrong between them, from seeds.

Whatever happens: each call has exactly one answer, no worker gets a call twice, and when nothing
goes wrong any more everybody knows what everybody provides.
"""

from __future__ import annotations

import random
from collections import Counter

import pytest
from tests.support.bus import Peer
from tests.support.mesh import Mesh, Node

FUNCTIONS = ("x", "y", "z")


class Story:
    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.mesh = Mesh("a", "b", "c", packet_bytes=200)
        self.mesh.lose = lambda sender, receiver, parcel: self.chance.random() < self.loss
        self.loss = 0.0
        self.workers: dict[Node, list[Peer]] = {node: [] for node in self.mesh.nodes}
        self.callers = {node: node.peer() for node in self.mesh.nodes}
        self.asked: dict[Node, list[str]] = {node: [] for node in self.mesh.nodes}
        self.answered: Counter[str] = Counter()
        self.done: Counter[str] = Counter()
        self.open: list[tuple[Peer, dict[str, object]]] = []

    @property
    def living(self) -> list[Node]:
        return [node for node in self.mesh.nodes if not node.dead]

    def run(self, steps: int) -> None:
        acts = [self.call] * 6 + [self.work] * 4 + [self.deliver] * 6 + [self.pass_time] * 3
        acts += [self.new_worker, self.end_worker, self.cut, self.weather, self.freeze]
        for step in range(steps):
            self.chance.choice(acts)()
            if step % 60 == 59:
                self.replace_engine()

    def call(self) -> None:
        node = self.chance.choice(self.living)
        data = "d" * self.chance.choice((1, 10, 500))
        function = self.chance.choice(FUNCTIONS)
        self.asked[node].append(self.callers[node].ask(function, data))

    def work(self) -> None:
        self.collect()
        while self.open and self.chance.random() < 0.6:
            worker, invocation = self.open.pop(self.chance.randrange(len(self.open)))
            worker.answer(invocation, result="r" * self.chance.choice((1, 700)))

    def collect(self) -> None:
        for node in self.living:
            for worker in self.workers[node]:
                for message in worker.inbox():
                    self.done[message["invocation_id"]] += 1
                    self.open.append((worker, message))
            for message in self.callers[node].inbox():
                self.answered[message["invocation_id"]] += 1

    def deliver(self) -> None:
        for _ in range(self.chance.randrange(20)):
            self.mesh.step()

    def pass_time(self) -> None:
        self.mesh.wait(self.chance.choice((0.1, 0.5, 2)))

    def new_worker(self) -> None:
        node = self.chance.choice(self.living)
        self.workers[node].append(node.peer(*self.chance.sample(FUNCTIONS, 2)))

    def end_worker(self) -> None:
        node = self.chance.choice(self.living)
        if self.workers[node]:
            self.collect()
            worker = self.workers[node].pop(0)
            self.open = [(w, message) for w, message in self.open if w is not worker]
            worker.close()

    def cut(self) -> None:
        cluster = self.chance.choice(self.living).cluster
        if cluster.connected:
            cluster.disconnect()
        else:
            cluster.connect()

    def weather(self) -> None:
        self.loss = self.chance.choice((0, 0, 0, 0.05, 0.5))

    def freeze(self) -> None:
        node = self.chance.choice(self.living)
        node.frozen = not node.frozen

    def replace_engine(self) -> None:
        """One dies, and what was asked there is nobody's business any more."""
        self.collect()
        node = self.chance.choice(self.living)
        node.kill()
        del self.asked[node]
        self.open = [(w, message) for w, message in self.open if w not in self.workers[node]]
        new = self.mesh.add("n")
        self.workers[new], self.asked[new], self.callers[new] = [], [], new.peer()

    def settle(self) -> None:
        """Nothing goes wrong any more, and all work gets done."""
        self.loss = 0
        for node in self.living:
            node.frozen = False
            if not node.cluster.connected:
                node.cluster.connect()
        for _ in range(4):
            self.mesh.wait(3)
            self.collect()
            for worker, invocation in self.open:
                worker.answer(invocation)
            self.open = []
            self.mesh.run()
        self.collect()

    def check(self) -> None:
        for node in self.living:
            for call in self.asked[node]:
                assert self.answered[call] == 1
            assert node.engine.router.pending == {}
            assert len(node.cluster.peers) == len(self.living) - 1
            here = {f for n in self.living for w in self.workers[n] for f in w.session.functions}
            assert set(node.functions) == here
            assert len(node.engine.sessions) == 3 + len(self.workers[node])
            assert all(s.active == 0 for s in node.engine.sessions.values())
        assert not self.done or max(self.done.values()) == 1


@pytest.mark.parametrize("seed", range(25))
def test_engines_agree_after_any_trouble(seed: int) -> None:
    story = Story(seed)
    story.run(300)
    story.settle()
    story.check()
