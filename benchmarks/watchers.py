"""Many who watch one group of a stream, and one who changes an item of it.

`python -m benchmarks.watchers OPTIONS-AS-JSON` prints an `Outcome` as JSON. Every change carries
the time it was asked for; each watcher must get each change once, in order.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import time
from collections.abc import Callable

import msgspec
import picows
from msgspec import Struct
from picows import WSFrame, WSListener, WSMsgType, WSTransport

from benchmarks import loops, wire
from benchmarks.deliveries import Deliveries, middle_and_tail
from benchmarks.processes import PATIENCE, Failed, cpu_ns

_SYNC = b'{"type":"sync"'
_AT = b'"at":'


class Plan(Struct):
    """Changes in flight; `watch` is the process whose processor time counts.

    With `paced` the next change comes when all watchers have the one before.
    """

    url: str
    stream_url: str
    watchers: int
    inflight: int
    watch: int
    paced: bool = False
    warmup: float = 0.4
    seconds: float = 1.0


class Outcome(Struct):
    """`per_second` counts deliveries; times are in microseconds, from the call to the watcher."""

    deliveries: int
    per_second: float
    cpu_us: float
    p50_us: float
    p99_us: float
    missing: int


class Count(Deliveries):
    """What all watchers got."""

    def __init__(self, watchers: int) -> None:
        super().__init__()
        self.synced = 0
        self.all_synced = asyncio.Event()
        self.watchers = watchers
        self.on_all: Callable[[], None] | None = None  # have got one more change

    def delivered(self, at: int) -> None:
        self.total += 1
        if self.counting:
            self.delays.append(time.perf_counter_ns() - at)
        if self.on_all is not None and self.total % self.watchers == 0:
            self.on_all()

    def sync(self) -> None:
        self.synced += 1
        if self.synced == self.watchers:
            self.all_synced.set()


class Watcher(WSListener):
    def __init__(self, count: Count) -> None:
        self._count = count
        self._last = 0

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type is WSMsgType.CLOSE:
            raise Failed("the engine closed a watcher")
        message = frame.get_payload_as_bytes()
        if _SYNC in message:
            self._count.sync()
            return
        start = message.find(_AT) + len(_AT)
        at = int(message[start : message.find(b"}", start)])
        if at <= self._last:
            raise Failed("a change came twice or late")
        self._last = at
        self._count.delivered(at)


class Changer(WSListener):
    """Sets one item again and again, with a number of calls in flight."""

    def __init__(self, paced: bool) -> None:
        self.answered = 0
        self.changing = True
        self._paced = paced
        self.idle = asyncio.Event()
        self._pending = 0
        self._issued = 0
        self._head = wire.call_head("stream::set")

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        message = frame.get_payload_as_bytes()
        if not message.startswith(wire.RESULT_HEAD):
            return
        if b'"error":{' in message:
            raise Failed(message.decode())
        self.answered += 1
        self._pending -= 1
        if self.changing and not self._paced:
            self.change(transport)
        elif not self._pending:
            self.idle.set()

    def change(self, transport: WSTransport) -> None:
        self._issued += 1
        self._pending += 1
        self.idle.clear()
        data = (
            b'{"stream_name":"bench","group_id":"g","item_id":"1","data":{"text":"%b","at":%d}}'
            % (b"x" * 60, time.perf_counter_ns())
        )
        call_id = wire.invocation_id(self._issued)
        message = b"".join((self._head, call_id, wire.CALL_MIDDLE, data, b"}"))
        transport.underlying_transport.write(wire.client_frame(message))


async def drive(plan: Plan) -> Outcome:
    count = Count(plan.watchers)
    place = f"{plan.stream_url}/stream/bench/g/"
    watchers = [
        (await picows.ws_connect(lambda: Watcher(count), place))[0] for _ in range(plan.watchers)
    ]
    await asyncio.wait_for(count.all_synced.wait(), PATIENCE)
    transport, changer = await picows.ws_connect(lambda: Changer(plan.paced), plan.url)
    assert isinstance(changer, Changer)
    if plan.paced:
        count.on_all = lambda: changer.change(transport) if changer.changing else None
    for _ in range(plan.inflight):
        changer.change(transport)
    await asyncio.sleep(plan.warmup)
    count.counting = True
    before, cpu, began = count.total, cpu_ns(plan.watch), time.perf_counter()
    await asyncio.sleep(plan.seconds)
    cpu, elapsed = cpu_ns(plan.watch) - cpu, time.perf_counter() - began
    delivered = count.total - before
    count.counting = changer.changing = False
    await asyncio.wait_for(changer.idle.wait(), PATIENCE)
    missing = await count.missing(changer.answered * plan.watchers)
    for peer in (transport, *watchers):
        peer.disconnect()
    cpu_us = cpu / max(delivered, 1) / 1e3
    return Outcome(delivered, delivered / elapsed, cpu_us, *middle_and_tail(count.delays), missing)


def main() -> None:
    gc.disable()  # nothing here makes cycles, and a pause of the watchers is no pause of the engine
    plan = msgspec.json.decode(sys.argv[1], type=Plan)
    print(msgspec.json.encode(loops.run(drive(plan))).decode())


if __name__ == "__main__":
    main()
