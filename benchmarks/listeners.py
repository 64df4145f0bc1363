"""Workers that are called by triggers, and what makes those fire.

`python -m benchmarks.listeners OPTIONS-AS-JSON` prints an `Outcome` as JSON. With a topic one
caller publishes, and each message carries the time it was published; without one the triggers are
those of a clock, and each run carries the time it was due.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import time
from datetime import datetime

import msgspec
import picows
from msgspec import Struct
from picows import WSFrame, WSListener, WSMsgType, WSTransport

from benchmarks import loops, wire
from benchmarks.deliveries import Deliveries, middle_and_tail
from benchmarks.processes import PATIENCE, Failed

_CALL = b'{"type":"invokefunction"'


class Plan(Struct):
    """`listeners` workers; `inflight` publications wait for their answers."""

    url: str
    listeners: int
    topic: str = ""
    inflight: int = 8
    warmup: float = 0.4
    seconds: float = 1.0


class Outcome(Struct):
    """Times are in microseconds, from when it was published or due to the listener."""

    deliveries: int
    per_second: float
    p50_us: float
    p99_us: float
    missing: int


class Message(Struct):
    """What a listener is called with: `at` of a publication, or the due time of a job."""

    at: int = 0
    scheduled_time: str = ""


class Called(Struct):
    invocation_id: str
    data: Message


_decode = msgspec.json.Decoder(Called).decode


class Count(Deliveries):
    """What all listeners heard."""

    def heard(self, message: Message) -> None:
        self.total += 1
        if self.counting:
            if message.at:
                self.delays.append(time.perf_counter_ns() - message.at)
            else:
                due = datetime.fromisoformat(message.scheduled_time).timestamp()
                self.delays.append(time.time_ns() - int(due * 1e9))


class Listener(WSListener):
    """A worker with one function and one trigger."""

    def __init__(self, number: int, topic: str, count: Count) -> None:
        self._function = f"bench::listener{number}"
        self._trigger = (
            ("subscribe", {"topic": topic}) if topic else ("cron", {"expression": "* * * * * *"})
        )
        self._count = count
        self.ready = asyncio.Event()

    def on_ws_connected(self, transport: WSTransport) -> None:
        kind, config = self._trigger
        trigger = {
            "type": "registertrigger",
            "id": self._function,
            "trigger_type": kind,
            "function_id": self._function,
            "config": config,
        }
        hello = (
            wire.register_function(self._function),
            msgspec.json.encode(trigger),
            b'{"type":"ping"}',
        )
        transport.underlying_transport.write(b"".join(map(wire.client_frame, hello)))

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        message = frame.get_payload_as_bytes()
        if message.startswith(_CALL):
            call = _decode(message)
            self._count.heard(call.data)
            parts = (wire.RESULT_HEAD, call.invocation_id.encode(), wire.RESULT_MIDDLE, b"null}")
            transport.underlying_transport.write(wire.client_frame(b"".join(parts)))
        elif message == b'{"type":"pong"}':
            self.ready.set()
        elif frame.msg_type is WSMsgType.CLOSE:
            raise Failed("the engine closed a listener")


class Publisher(WSListener):
    """Publishes again whenever it is answered."""

    def __init__(self, topic: str) -> None:
        self.published = 0
        self.pending = 0
        self.publishing = True
        self.idle = asyncio.Event()
        self._head = wire.call_head("publish")
        self._topic = topic.encode()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        message = frame.get_payload_as_bytes()
        if not message.startswith(wire.RESULT_HEAD):
            return
        if b'"error":{' in message:
            raise Failed(message.decode())
        self.pending -= 1
        if self.publishing:
            self.publish(transport)
        elif not self.pending:
            self.idle.set()

    def publish(self, transport: WSTransport) -> None:
        self.published += 1
        self.pending += 1
        data = b'{"topic":"%b","data":{"text":"%b","at":%d}}' % (
            self._topic,
            b"x" * 60,
            time.perf_counter_ns(),
        )
        parts = (self._head, wire.invocation_id(self.published), wire.CALL_MIDDLE, data, b"}")
        transport.underlying_transport.write(wire.client_frame(b"".join(parts)))


async def drive(plan: Plan) -> Outcome:
    count = Count()
    peers = []
    for number in range(plan.listeners):
        listener = Listener(number, plan.topic, count)
        transport, _ = await picows.ws_connect(lambda listener=listener: listener, plan.url)
        await asyncio.wait_for(listener.ready.wait(), PATIENCE)
        peers.append(transport)
    publisher = Publisher(plan.topic)
    if plan.topic:
        transport, _ = await picows.ws_connect(lambda: publisher, plan.url)
        peers.append(transport)
        for _ in range(plan.inflight):
            publisher.publish(transport)
    await asyncio.sleep(plan.warmup)
    count.counting, before, began = True, count.total, time.perf_counter()
    await asyncio.sleep(plan.seconds)
    count.counting = publisher.publishing = False
    delivered, elapsed = count.total - before, time.perf_counter() - began
    missing = 0
    if plan.topic:
        await asyncio.wait_for(publisher.idle.wait(), PATIENCE)
        missing = await count.missing(publisher.published * plan.listeners)
    for peer in peers:
        peer.disconnect()
    return Outcome(delivered, delivered / elapsed, *middle_and_tail(count.delays), missing)


def main() -> None:
    gc.disable()  # nothing here makes cycles, and a pause here is no pause of the engine
    plan = msgspec.json.decode(sys.argv[1], type=Plan)
    print(msgspec.json.encode(loops.run(drive(plan))).decode())


if __name__ == "__main__":
    main()
