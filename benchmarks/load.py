"""The caller of the bus rows: keeps a number of calls in flight and accounts for every one.

`python -m benchmarks.load OPTIONS-AS-JSON` prints a `Outcome` as JSON. Ids are checked: an answer
to no call, or a second one, is `unexpected`; a call without an answer when no more come is `lost`.
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import time

import msgspec
from msgspec import Struct

from benchmarks import loops, wire
from benchmarks.batching import Batching, connect
from benchmarks.client import ask_async
from benchmarks.payloads import PAYLOADS
from benchmarks.processes import cpu_ns, pin

STALL_SECONDS = 10.0
_ERROR = b'"error":{'


class Plan(Struct):
    """What to call and how. With `calls` the window ends by count, else after `seconds`.

    `payload` names an entry of `payloads.PAYLOADS`. `watch` is the process whose processor time
    counts. The caller stays on the processor core `core`, if one is given. With a `queue` the calls
    are put on it, and the window of `calls` ends when all jobs are handled and acknowledged.
    """

    url: str
    function: str
    payload: str
    inflight: int
    watch: int
    warmup: float = 0.4
    seconds: float = 1.0
    calls: int = 0
    core: int | None = None
    queue: str = ""


class Outcome(Struct):
    """Times in microseconds; `per_second` and the percentiles are of the timed window."""

    calls: int
    per_second: float
    cpu_us: float
    p50_us: float
    p99_us: float
    lost: int
    unexpected: int
    errors: int
    first_error: str


class Caller(Batching):
    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self.plan = plan
        self.pending: dict[bytes, int] = {}
        self.unexpected = 0
        self.errors = 0
        self.first_error = ""
        self.answered = 0
        self.latencies: list[int] = []
        self.counting = False
        self.calling = True
        self.drained = asyncio.Event()
        self._issued = 0
        self._head = wire.call_head(plan.function, plan.queue)
        tails = [wire.CALL_MIDDLE + text + b"}" for text in PAYLOADS[plan.payload]()]
        head_size = len(self._head) + 36
        self._tails = [(wire.client_header(head_size + len(tail)), tail) for tail in tails]

    def on_message(self, message: bytes) -> None:
        if not message.startswith(wire.RESULT_HEAD):
            return
        started = self.pending.pop(wire.id_of(message), 0)
        if started == 0:
            self.unexpected += 1
            return
        if message.find(_ERROR, 0, 400) >= 0:
            self.errors += 1
            self.first_error = self.first_error or message[:600].decode(errors="replace")
        if self.counting:
            self.answered += 1
            self.latencies.append(time.perf_counter_ns() - started)
        if self.calling:
            self.call()
        elif not self.pending:
            self.drained.set()

    def call(self) -> None:
        """Queue one call."""
        self._issued += 1
        call_id = wire.invocation_id(self._issued)
        header, tail = self._tails[self._issued % len(self._tails)]
        self.out += (header, self._head, call_id, tail)
        self.pending[call_id] = time.perf_counter_ns()
        if self._issued == self.plan.calls:
            self.calling = False

    async def finish(self) -> None:
        """Wait until all calls were answered, or until no more answers come."""
        before = -1
        while self.pending and self.answered != before:
            before = self.answered
            try:
                await asyncio.wait_for(self.drained.wait(), STALL_SECONDS)
            except TimeoutError:
                continue  # what is pending when nothing moves any more is lost, and counted so


async def drive(plan: Plan) -> Outcome:
    caller = Caller(plan)
    transport = await connect(caller, plan.url)
    caller.counting = plan.calls > 0
    cpu, began = cpu_ns(plan.watch), time.perf_counter()
    for _ in range(plan.inflight):
        caller.call()
    caller.flush(transport)
    if plan.calls:
        await caller.finish()
        if plan.queue:
            await emptied(plan)
    else:
        await asyncio.sleep(plan.warmup)
        caller.counting = True
        cpu, began = cpu_ns(plan.watch), time.perf_counter()
        await asyncio.sleep(plan.seconds)
    cpu, elapsed = cpu_ns(plan.watch) - cpu, time.perf_counter() - began
    caller.calling = caller.counting = False
    await caller.finish()
    transport.disconnect()
    return outcome(caller, cpu, elapsed)


async def emptied(plan: Plan) -> None:
    """Wait until the queue has no job any more, and none that died."""
    question = msgspec.json.encode({"topic": plan.queue})
    while True:
        answer = await ask_async(plan.url, "engine::queue::topic_stats", question, STALL_SECONDS)
        stats = msgspec.json.decode(answer.result, type=dict[str, msgspec.Raw])
        if bytes(stats["depth"]) == b"0":
            if bytes(stats["dlq_depth"]) != b"0":
                raise RuntimeError(f"jobs died: {stats}")
            return


def outcome(caller: Caller, cpu: int, elapsed: float) -> Outcome:
    times = sorted(caller.latencies)
    answered = max(caller.answered, 1)
    return Outcome(
        calls=caller.answered,
        per_second=caller.answered / elapsed,
        cpu_us=cpu / answered / 1e3,
        p50_us=times[len(times) // 2] / 1e3 if times else 0.0,
        p99_us=times[len(times) * 99 // 100] / 1e3 if times else 0.0,
        lost=len(caller.pending),
        unexpected=caller.unexpected,
        errors=caller.errors,
        first_error=caller.first_error,
    )


def main() -> None:
    plan = msgspec.json.decode(sys.argv[1], type=Plan)
    if plan.core is not None:
        pin(os.getpid(), {plan.core})
    gc.disable()  # nothing here makes cycles, and a pause of the caller is no pause of the engine
    print(msgspec.json.encode(loops.run(drive(plan))).decode())


if __name__ == "__main__":
    main()
