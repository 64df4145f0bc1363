"""One run of the queue module on a disk that fails: what was acknowledged is handled or dead, in
the order of its group, with no more attempts than it has; what was refused never runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Raw
from tests.simulation.book import expect
from tests.simulation.disk import Disk
from tests.simulation.disk_scenario import finish
from tests.simulation.world import Violation, World

from iii_engine.core.clock import SeededIds
from iii_engine.core.engine import Engine
from iii_engine.core.router import Call
from iii_engine.core.triggers import Trigger
from iii_engine.modules.base import Host
from iii_engine.modules.queue import QueueModule
from iii_engine.modules.queue.options import QueueConfig, QueueOptions
from iii_engine.storage.memory import Maps
from iii_sdk.protocol import NULL, EnqueueAction, ErrorBody

JOBS = 80
ATTEMPTS = 3
GROUPS = ("a", "b", "c")


class Soon:
    """As much of an event loop as the module needs."""

    def __init__(self, world: World) -> None:
        self._world = world

    def call_soon(self, action: Callable[..., None], *arguments: Any) -> None:
        self._world.after(0, action, *arguments)


class QueueScenario:
    """Jobs are numbers, in the order in which they were made. `queue_of` has all that were made."""

    def __init__(self, seed: int) -> None:
        self.world = World(seed)
        self.maps = Maps()
        self.queue_of: dict[int, tuple[str, str]] = {}  # queue and group
        self.acknowledged: set[int] = set()
        self.refused: set[int] = set()
        self.handled: set[int] = set()
        self.failures: Counter[int] = Counter()
        self.crashes = self.deliveries = 0
        self._start()

    def run(self) -> QueueScenario:
        """Raises `Violation` with the seed and what happened last."""
        try:
            for _ in range(JOBS):
                self.world.after(self.world.chance.uniform(0, 20), self._make)
            self.world.run()
            self._finish()
        except Exception as problem:
            raise self.world.failed(problem) from problem
        return self

    # -- the process -----------------------------------------------------------------------------

    def _start(self) -> None:
        self.finished_here: set[int] = set()
        self.running: Counter[tuple[str, str]] = Counter()
        self.engine = Engine(self.world, SeededIds(self.world.chance.getrandbits(64)))
        self.engine.timers.on_sooner = lambda engine=self.engine: self._look(engine)
        disk = Disk(self.world, self.maps, self._crash)
        # The module starts without waiting for anything, so that it needs no real loop.
        host = Host(self.engine, disk, Soon(self.world))  # type: ignore[arg-type]
        fifo = QueueConfig(type="fifo", message_group_field="group", max_retries=ATTEMPTS)
        queues = {
            "standard": QueueConfig(concurrency=4, max_retries=ATTEMPTS, backoff_ms=200),
            "fifo": fifo,
        }
        self.module = QueueModule("iii-queue", QueueOptions(queue_configs=queues), host)
        finish(self.module.start())
        engine = self.engine
        engine.add_function("work", lambda call: self._work(engine, call), module="simulation")
        config = {"topic": "topic", "queue_config": {"type": "fifo", "maxRetries": ATTEMPTS}}
        raw = Raw(msgspec.json.encode(config))
        engine.triggers.add(Trigger("t", "queue", "work", raw, NULL, None))

    def _look(self, engine: Engine) -> None:
        due = engine.timers.next_deadline_ns()
        if due is not None:
            self.world.at(due, self._advance, engine)

    def _advance(self, engine: Engine) -> None:
        if engine is self.engine:
            engine.advance()
            self._look(engine)

    def _crash(self) -> None:
        """The process ends in the middle of a commit; the next one finds what is on the disk."""
        self.world.note("crash")
        self.crashes += 1
        self._start()

    # -- producing -------------------------------------------------------------------------------

    def _make(self) -> None:
        chance, number = self.world.chance, len(self.queue_of)
        queue, group = chance.choice(("standard", "fifo", "topic")), chance.choice(GROUPS)
        if queue == "topic":
            group = ""
        self.queue_of[number] = (queue, group)
        data = Raw(msgspec.json.encode({"number": number, "group": group}))
        engine = self.engine

        def answered(_: Raw, error: ErrorBody | None) -> None:
            if engine is not self.engine:
                raise Violation("an answer of a process that is gone")
            self.world.note(f"{number} on {queue} {'stored' if error is None else 'refused'}")
            (self.acknowledged if error is None else self.refused).add(number)

        if queue == "topic":
            payload = msgspec.json.encode({"topic": "topic", "data": data})
            engine.call("iii::durable::publish", payload, answered)
        else:
            call = Call(engine.router, "work", data)
            call.on_answer = answered
            engine.router.accept(call)
            assert engine.enqueue is not None
            engine.enqueue(call, EnqueueAction(queue=queue))

    # -- consuming -------------------------------------------------------------------------------

    def _work(self, engine: Engine, call: Call) -> None:
        if engine is not self.engine:
            return  # a process that is gone
        job = msgspec.json.decode(call.data)
        number, queue = job["number"], self.queue_of[job["number"]]
        self.world.note(f"{number} runs")
        self.deliveries += 1
        expect("refused jobs that run", number in self.refused, False)
        expect("jobs that run again after their end", number in self.finished_here, False)
        self.running[queue] += 1
        if queue[0] != "standard":
            expect("jobs of a group at once", self.running[queue], 1)
            self._check_order(number, queue)
        else:
            running = sum(n for (name, _), n in self.running.items() if name == "standard")
            expect("jobs at once", running <= 4, True)
        fails = self.world.chance.random() < 0.4
        self.world.after(self.world.chance.uniform(0, 0.5), self._end, engine, call, number, fails)

    def _check_order(self, number: int, queue: tuple[str, str]) -> None:
        """All that were stored before it in its group have come to their end."""
        for earlier in range(number):
            if self.queue_of.get(earlier) == queue and earlier in self.acknowledged:
                over = earlier in self.handled or self.failures[earlier] >= ATTEMPTS
                expect(f"job {earlier} is over", over, True)

    def _end(self, engine: Engine, call: Call, number: int, fails: bool) -> None:
        if engine is not self.engine:
            return
        self.world.note(f"{number} {'fails' if fails else 'is handled'}")
        self.running[self.queue_of[number]] -= 1
        if fails:
            self.failures[number] += 1
            if self.world.chance.random() < 0.3:
                call.fail("invocation_stopped", "the worker is lost")
            else:
                call.fail("broken", "by chance")
        else:
            self.handled.add(number)
            self.finished_here.add(number)
            call.reply()

    # -- what must hold in the end ---------------------------------------------------------------

    def _finish(self) -> None:
        dead: dict[int, int] = {}
        for queue in ("standard", "fifo", "topic"):
            question = msgspec.json.encode({"topic": queue, "limit": 1000})
            for row in self._ask("engine::queue::dlq_messages", question):
                dead[row["payload"]["number"]] = row["retries"]
            stats = self._ask("engine::queue::topic_stats", question)
            expect(f"depth of {queue}", stats["depth"], 0)
            rows = self._ask("engine::queue::dlq_messages", question)
            expect(f"dead letters of {queue}", stats["dlq_depth"], len(rows))
        lost = self.acknowledged - self.handled - set(dead)
        expect("acknowledged jobs that were lost", lost, set())
        expect("attempts of the dead", set(dead.values()) - {ATTEMPTS}, set())
        for number in dead:
            expect(f"failures of {number}", self.failures[number] >= ATTEMPTS, True)
        if not self.crashes:
            expect("handled and dead", self.handled & set(dead), set())
            expect("failures", max(self.failures.values(), default=0) <= ATTEMPTS, True)
        left = self.maps.spaces("queue/")
        expect("what is left", [s for s in left if "/dead" not in s and "bindings" not in s], [])

    def _ask(self, function_id: str, question: bytes) -> Any:
        answers: list[Any] = []
        self.engine.call(function_id, question, lambda result, _: answers.append(result))
        return msgspec.json.decode(answers[0])
