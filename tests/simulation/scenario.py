"""One run: workers that call each other while connections and the engine break under them."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from tests.simulation.book import expect
from tests.simulation.server import TICK, Server
from tests.simulation.worker import Worker
from tests.simulation.world import Violation, World

WORKERS = 8
#: Things that break in one run.
BREAKS = 45
#: Owned by the first worker; the others bind triggers to it.
OWNED = "owned"


class Outcome(NamedTuple):
    """What happened in a run. `digest` is equal for equal histories."""

    reconnects: int
    calls: int
    answered: int
    events: int
    digest: str


class Scenario:
    """Everything follows from the seed."""

    def __init__(self, seed: int) -> None:
        self.world = World(seed)
        self.server = Server(self.world)
        chance = self.world.chance
        self.workers = [
            Worker(self.world, self.server, f"w{n}", f"w{n}", chance.random() < 0.5)
            for n in range(WORKERS - 2)
        ]
        # Two instances of one program share its functions.
        self.workers += [Worker(self.world, self.server, f"p{n}", "pool", n > 0) for n in range(2)]
        self.workers[0].own(OWNED)
        for worker in self.workers:
            for number in range(3):
                worker.offer(f"{worker.group}::f{number}")
            worker.offer(f"{worker.name}::handle")
            worker.bind(f"{worker.name}-tick", TICK, f"{worker.name}::handle")
            worker.bind(f"{worker.name}-owned", OWNED, f"{worker.name}::handle")

    def run(self) -> Outcome:
        """Raises `Violation` with the seed and what happened last."""
        try:
            self._plan()
            self.world.run()
            self._check_rest()
        except Exception as problem:
            raise self.world.failed(problem) from problem
        return Outcome(
            sum(worker.connections - 1 for worker in self.workers),
            sum(worker.calls for worker in self.workers),
            sum(worker.answered for worker in self.workers),
            len(self.server.outcomes),
            self.world.digest,
        )

    # -- what happens ----------------------------------------------------------------------------

    def _plan(self) -> None:
        chance, time = self.world.chance, 1.0
        breaks = self._breaks()
        for _ in range(BREAKS):
            self.world.after(time, chance.choice(breaks))
            time += chance.choice((0.0, 0.02, 0.5, 2.0))
        for _ in range(int(time * 25)):
            self.world.after(chance.uniform(0, time + 1), self._call)
        for _ in range(int(time * 2)):
            self.world.after(chance.uniform(0, time + 1), self.server.fire)
        for _ in range(int(time)):
            self.world.after(chance.uniform(1, time), self._change_an_offer)

    def _breaks(self) -> list[Callable[[], None]]:
        """More of what makes an old connection outlive the new one."""
        return [
            *[lambda: self._cut(0.05, 0.05)] * 3,
            *[lambda: self._cut(0.05, 60.0)] * 4,  # half open: the engine notices late
            *[lambda: self._cut(20.0, 0.05)] * 2,  # half open: the worker notices late
            lambda: self._cut(20.0, 60.0),
            *[self._flap] * 3,
            lambda: self.server.kill(self.world.chance.choice((0.01, 0.3, 3.0))),
        ]

    def _cut(self, worker_notices: float, server_notices: float) -> None:
        self._cut_of(self.world.chance.choice(self.workers), worker_notices, server_notices)

    def _flap(self) -> None:
        """A worker that comes back soon loses its connection again while it says what it offers."""
        chance = self.world.chance
        worker = chance.choice(self.workers)
        for seconds in (0.0, 0.01, 0.02, 0.03):
            self.world.after(seconds, self._cut_of, worker, 0.005, 60.0)

    def _cut_of(self, worker: Worker, worker_notices: float, server_notices: float) -> None:
        chance = self.world.chance
        if worker.link is not None:
            worker.link.cut(chance.uniform(0, worker_notices), chance.uniform(0, server_notices))

    def _call(self) -> None:
        chance = self.world.chance
        callee = chance.choice(self.workers)
        chance.choice(self.workers).call(f"{callee.group}::f{chance.randrange(3)}")

    def _change_an_offer(self) -> None:
        chance = self.world.chance
        worker = chance.choice(self.workers)
        function_id, trigger_id = f"{worker.group}::f2", f"{worker.name}-tick"
        if chance.random() < 0.5:
            (worker.withdraw if function_id in worker.functions else worker.offer)(function_id)
        elif trigger_id in worker.triggers:
            worker.unbind(trigger_id)
        else:
            worker.bind(trigger_id, TICK, f"{worker.name}::handle")

    # -- what must hold when all has come to rest ------------------------------------------------

    def _check_rest(self) -> None:
        book, engine = self.server.book, self.server.engine
        book.compare(engine, {TICK})
        expect("left", list(self.server.leftovers()), [])
        expect("sessions", len(engine.sessions), len(self.workers))
        for worker in self.workers:
            assert worker.link is not None
            session = worker.link.session
            expect(f"{worker.name} functions", set(book.functions[session]), set(worker.functions))
            wanted = {k: v[0] for k, v in worker.triggers.items()}
            expect(f"{worker.name} triggers", book.triggers(session), wanted)
            expect(f"{worker.name} unanswered", list(worker.waiting), [])
            expect(f"{worker.name} calls", worker.answered + worker.lost, worker.calls)
        owned = {trigger_id for trigger_id, kind in book.triggers().items() if kind == OWNED}
        expect("told to the owner of the type", set(self.workers[0].told), owned)
        self._check_events()

    def _check_events(self) -> None:
        """What was handled came once; what found nobody came to nobody."""
        for (trigger_id, number), error in self.server.outcomes.items():
            came = sum(worker.events[trigger_id, number] for worker in self.workers)
            if came != 1 if error is None else came > (error != "function_not_found"):
                raise Violation(f"event {number} of {trigger_id}: {error}, and came {came} times")
