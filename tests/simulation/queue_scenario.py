"""One run of the queue module on a disk that fails: what was acknowledged is handled or dead, in
the order of its group, with no more attempts than it has, and never once it is cancelled; what was
refused, or is a duplicate, never runs, and a paused queue starts nothing."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
from msgspec import Raw
from tests.simulation.book import expect
from tests.simulation.disk import Disk
from tests.simulation.disk_scenario import finish
from tests.simulation.queue_book import ATTEMPTS, Fate, Made, QueueBook
from tests.simulation.queue_operator import QUEUES, Operator
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
SECONDS = 20.0
GROUPS = ("a", "b", "c")
CONCURRENCY = {"standard": 4, "keyed": 5}
#: Of each group of `keyed`: how many at once, and how many in a second.
AT_ONCE, RATE = 2, 5
#: How long a key of a job means that job, in milliseconds.
WINDOW = 4000


class Soon:
    """As much of an event loop as the module needs."""

    def __init__(self, world: World) -> None:
        self._world = world

    def call_soon(self, action: Callable[..., None], *arguments: Any) -> None:
        self._world.after(0, action, *arguments)


class QueueScenario:
    """Jobs are numbers, in the order in which they were made."""

    def __init__(self, seed: int) -> None:
        self.world = World(seed)
        self.maps = Maps()
        self.book = QueueBook()
        self.operator = Operator(self)
        self.crashes = self.deliveries = 0
        self._start()

    def run(self) -> QueueScenario:
        """Raises `Violation` with the seed and what happened last."""
        try:
            for _ in range(JOBS):
                self.world.after(self.world.chance.uniform(0, SECONDS), self._make)
            self.operator.plan(SECONDS)
            self.world.run()
            self._finish()
        except Exception as problem:
            raise self.world.failed(problem) from problem
        return self

    def count(self, fate: Fate) -> int:
        return sum(job.fate is fate for job in self.book.jobs)

    @property
    def handled(self) -> int:
        return sum(job.handled for job in self.book.jobs)

    @property
    def now_ms(self) -> int:
        return self.world.now_ns() // 1_000_000

    # -- the process -----------------------------------------------------------------------------

    def _start(self) -> None:
        self.finished_here: set[int] = set()
        self.running: dict[Call, Made] = {}
        self.started: dict[str, list[int]] = defaultdict(list)  # by group of `keyed`
        self.engine = Engine(self.world, SeededIds(self.world.chance.getrandbits(64)))
        self.engine.timers.on_sooner = partial(self._look, self.engine)
        disk = Disk(self.world, self.maps, self._crash)
        # The module starts without waiting for anything, so that it needs no real loop.
        host = Host(self.engine, disk, Soon(self.world))  # type: ignore[arg-type]
        self.module = QueueModule("iii-queue", QueueOptions(queue_configs=configs()), host)
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

    def ask(self, function_id: str, data: Any, answered: Callable[[Any], None]) -> None:
        """`answered` gets the result, or None for an error, unless the process ends before."""
        engine = self.engine

        def answer(result: Raw, error: ErrorBody | None) -> None:
            if engine is not self.engine:
                raise Violation("an answer of a process that is gone")
            answered(None if error is not None else msgspec.json.decode(result))

        engine.call(function_id, msgspec.json.encode(data), answer)

    # -- producing -------------------------------------------------------------------------------

    def _make(self) -> None:
        chance, number = self.world.chance, len(self.book.jobs)
        queue = chance.choice(QUEUES)
        group = "" if queue == "topic" else chance.choice(GROUPS)
        job = Made(number=number, queue=queue, group=group, made=self.now_ms)
        options = self._options(job)
        self.book.jobs.append(job)
        data = Raw(msgspec.json.encode({"number": number, "group": group}))

        def answered(result: Any) -> None:
            receipt = result or {}
            job_id = receipt.get("messageReceiptId") or receipt.get("message_id")
            duplicate = receipt.get("duplicate")
            self.book.answer(job, self.now_ms, job_id, duplicate)
            self.world.note(f"{number} on {queue}: {job.fate.value}")

        if queue == "topic":
            message = {"topic": "topic", "data": data, "return_receipt": True, **options}
            self.ask("iii::durable::publish", message, answered)
        else:
            self._enqueue(data, EnqueueAction(queue=queue, **options), answered)

    def _options(self, job: Made) -> dict[str, Any]:
        """What the producer wants of it, by chance."""
        chance = self.world.chance
        what = chance.choice(("nothing", "delay", "priority", "once", "id", "debounce"))
        if what == "delay":
            job.delay = chance.randrange(1, 800)
            return {"delay_ms": job.delay}
        if what == "priority" and job.queue == "standard":
            job.priority = chance.randrange(-3, 4)
            return {"priority": job.priority}
        if what in ("once", "id"):
            job.once, job.window = f"{what}-{chance.randrange(3)}", WINDOW
            name = "idempotency_key" if what == "once" else "message_id"
            return {name: job.once, "dedupe_window_ms": WINDOW}
        if what == "debounce" and job.queue in CONCURRENCY:
            job.debounce, job.delay = chance.choice("xy"), chance.randrange(200, 2000)
            return {"debounce_ms": job.delay, "debounce_key": job.debounce}
        return {}

    def _enqueue(self, data: Raw, action: EnqueueAction, answered: Callable[[Any], None]) -> None:
        engine = self.engine

        def answer(result: Raw, error: ErrorBody | None) -> None:
            if engine is not self.engine:
                raise Violation("an answer of a process that is gone")
            answered(None if error is not None else msgspec.json.decode(result))

        call = Call(engine.router, "work", data)
        call.on_answer = answer
        engine.router.accept(call)
        assert engine.enqueue is not None
        engine.enqueue(call, action)

    # -- consuming -------------------------------------------------------------------------------

    def _work(self, engine: Engine, call: Call) -> None:
        if engine is not self.engine:
            return  # a process that is gone
        try:
            self._run(call)
        except Violation as problem:  # the engine would take it for a failure of the handler
            self.world.after(0, raising, problem)

    def _run(self, call: Call) -> None:
        job = self.book.jobs[msgspec.json.decode(call.data)["number"]]
        self.world.note(f"{job.number} runs")
        self.deliveries += 1
        expect("jobs that run again after their end", job.number in self.finished_here, False)
        self.book.start(job, self.now_ms)
        self.running[call] = job
        self._check_limits(job)
        fails = self.world.chance.random() < 0.4
        self.world.after(self.world.chance.uniform(0, 0.5), self._end, call, job, fails)

    def _check_limits(self, job: Made) -> None:
        here = [each for each in self.running.values() if each.queue == job.queue]
        group = [each for each in here if each.group == job.group]
        if job.queue in CONCURRENCY:
            expect("jobs at once", len(here) <= CONCURRENCY[job.queue], True)
        if job.queue != "standard":
            expect("jobs of a group", len(group) <= (AT_ONCE if job.queue == "keyed" else 1), True)
        if job.queue == "keyed":
            times = self.started[job.group]
            times.append(self.now_ms)
            if len(times) > RATE:  # so many start at once, and then one each fifth of a second
                expect("its rate", times[-1] - times[-1 - RATE] >= 1000 // RATE, True)

    def let_go(self, job: Made) -> None:
        """The job is being cancelled: what it answers does not count any more."""
        for call in [call for call, each in self.running.items() if each is job]:
            del self.running[call]

    def _end(self, call: Call, job: Made, fails: bool) -> None:
        if self.running.pop(call, None) is None:
            return  # of a process that is gone, or cancelled
        self.world.note(f"{job.number} {'fails' if fails else 'is handled'}")
        if fails:
            job.failures += 1
            if self.world.chance.random() < 0.3:
                call.fail("invocation_stopped", "the worker is lost")
            else:
                call.fail("broken", "by chance")
        else:
            job.handled = True
            self.finished_here.add(job.number)
            call.reply()

    # -- what must hold in the end ---------------------------------------------------------------

    def _finish(self) -> None:
        dead: dict[int, int] = {}
        for queue in QUEUES:
            rows = self._read("engine::queue::dlq_messages", topic=queue, limit=1000)
            dead |= {row["payload"]["number"]: row["retries"] for row in rows}
            stats = self._read("engine::queue::topic_stats", topic=queue)
            expect(f"depth of {queue}", stats["depth"], 0)
            expect(f"dead letters of {queue}", stats["dlq_depth"], len(rows))
        expect("acknowledged jobs that were lost", self.book.lost(set(dead)), set())
        expect("attempts of the dead", set(dead.values()) - {ATTEMPTS}, set())
        for number in dead:
            expect(f"failures of {number}", self.book.jobs[number].failures >= ATTEMPTS, True)
            expect(f"{number} is discarded", self.book.jobs[number].gone is True, False)
        if not self.crashes:
            self._check_attempts(dead)
        kept = Counter(space.rpartition("/")[2] for space in self.maps.spaces("queue/"))
        left = set(kept) & {"jobs", "delayed", "places", "paused"}
        expect("what is left", left, set())

    def _check_attempts(self, dead: dict[int, int]) -> None:
        """Nothing ran again that need not have: no process ended on the way."""
        for job in self.book.jobs:
            expect(f"{job.number} is handled and dead", job.handled and job.number in dead, False)
            allowed = ATTEMPTS * (1 + self.book.redrives[job.queue])
            expect(f"failures of {job.number}", job.failures <= allowed, True)

    def _read(self, function_id: str, **question: Any) -> Any:
        answers: list[Any] = []
        self.ask(function_id, question, answers.append)
        return answers[0]


def raising(problem: Exception) -> None:
    raise problem


def configs() -> dict[str, QueueConfig]:
    usual = QueueConfig(max_retries=ATTEMPTS, backoff_ms=200, priority_aging_ms=1000)
    return {
        "standard": msgspec.structs.replace(usual, concurrency=CONCURRENCY["standard"]),
        "fifo": QueueConfig(type="fifo", message_group_field="group", max_retries=ATTEMPTS),
        "keyed": msgspec.structs.replace(
            usual,
            concurrency=CONCURRENCY["keyed"],
            message_group_field="group",
            key_concurrency=AT_ONCE,
            key_rate_limit=RATE,
        ),
    }
