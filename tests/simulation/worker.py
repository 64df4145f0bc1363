"""A worker that does what the SDK does: it connects again, registers again, and loses nothing."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec
from tests.simulation.link import Link
from tests.simulation.server import KEYS, Delivery, Server
from tests.simulation.world import Violation, World


class Asked:
    """A call this worker made on one connection."""

    __slots__ = ("call_id", "function_id", "number")

    def __init__(self, call_id: str, function_id: str, number: int) -> None:
        self.call_id = call_id
        self.function_id = function_id
        self.number = number


class Worker:
    """`functions` and `triggers` are what it offers now; they are replayed on each connection."""

    def __init__(
        self, world: World, server: Server, name: str, group: str, reattaches: bool
    ) -> None:
        self.world = world
        self.server = server
        self.name = name
        self.group = group
        self.reattaches = reattaches
        self.functions: dict[str, None] = {}
        self.triggers: dict[str, tuple[str, str]] = {}  # id → type, function
        self.types: dict[str, None] = {}
        #: Triggers of the types it owns, as the engine told it on this connection.
        self.told: dict[str, str] = {}
        self.link: Link | None = None
        self.accepted = False
        self.connections = 0
        self.waiting: dict[str, Asked] = {}
        self.answered = 0
        self.lost = 0
        self.calls = 0
        self._held: list[bytes] = []
        self._identity: dict[str, str] | None = None
        #: How often it got each event of each trigger, and the last one by trigger and key.
        self.events: Counter[Delivery] = Counter()
        self._last_event: dict[tuple[str, int], int] = {}
        #: The last call by the caller's connection and its own: those of one pair keep their order.
        self._last_call: dict[tuple[str, int], int] = {}
        self.connect()

    # -- connection ------------------------------------------------------------------------------

    def connect(self) -> None:
        link = self.server.connect(self)
        if link is None:
            self.world.after(self.world.chance.uniform(0.05, 1.5), self.connect)
            return
        self.connections += 1
        self.link = link
        self.told = {}
        if self._identity is not None and self.reattaches:
            self.send("reattach", **self._identity)
        metadata = {"name": self.group, "runtime": "python", "pid": 1}
        self.send(
            "invokefunction",
            function_id="engine::workers::register",
            data=metadata,
            action={"type": "void"},
        )
        for type_id in self.types:
            self.send("registertriggertype", id=type_id, description="")
        for function_id in self.functions:
            self.send("registerfunction", id=function_id)
        for trigger_id in self.triggers:
            self._announce_trigger(trigger_id)

    def send(self, type: str, **fields: Any) -> None:
        if self.link is not None:
            self.link.to_engine(msgspec.json.encode({"type": type, **fields}))

    def ended(self, link: Link) -> None:
        if link is not self.link:
            return
        self.world.note(f"{self.name} lost its connection")
        self.link, self.accepted = None, False
        self.lost += len(self.waiting) - len(self._held)
        held = {msgspec.json.decode(frame)["invocation_id"] for frame in self._held}
        self.waiting = {k: v for k, v in self.waiting.items() if k in held}
        self.world.after(self.world.chance.choice((0.0, 0.01, 0.3, 2.0)), self.connect)

    # -- what it offers --------------------------------------------------------------------------

    def offer(self, function_id: str) -> None:
        self.functions[function_id] = None
        self.send("registerfunction", id=function_id)

    def withdraw(self, function_id: str) -> None:
        self.functions.pop(function_id, None)
        self.send("unregisterfunction", id=function_id)

    def bind(self, trigger_id: str, type_id: str, function_id: str) -> None:
        self.triggers[trigger_id] = (type_id, function_id)
        self._announce_trigger(trigger_id)

    def unbind(self, trigger_id: str) -> None:
        type_id, _ = self.triggers.pop(trigger_id)
        self.send("unregistertrigger", id=trigger_id, trigger_type=type_id)

    def own(self, type_id: str) -> None:
        self.types[type_id] = None
        self.send("registertriggertype", id=type_id, description="")

    def _announce_trigger(self, trigger_id: str) -> None:
        type_id, function_id = self.triggers[trigger_id]
        self.send(
            "registertrigger",
            id=trigger_id,
            trigger_type=type_id,
            function_id=function_id,
            config={"of": self.name},
        )

    # -- calling ---------------------------------------------------------------------------------

    def call(self, function_id: str) -> None:
        """A call that waits for the connection if there is none."""
        self.calls += 1
        number, chance = self.calls, self.world.chance
        call_id = f"{self.name}-{number}"
        if chance.random() < 0.7:
            call_id = f"{chance.getrandbits(32):08x}-0000-4000-a000-{chance.getrandbits(48):012x}"
        self.waiting[call_id] = Asked(call_id, function_id, number)
        data = {"number": number, "from": self.name}
        frame = msgspec.json.encode(
            {
                "type": "invokefunction",
                "invocation_id": call_id,
                "function_id": function_id,
                "data": data,
            }
        )
        if self.accepted and self.link is not None:
            self.link.to_engine(frame)
        else:
            self._held.append(frame)

    def _settle(self, message: dict[str, Any]) -> None:
        asked = self.waiting.pop(message["invocation_id"], None)
        if asked is None:
            raise Violation(f"{self.name}: an answer to no call: {message}")
        self.answered += 1
        if message.get("error") is None and message["result"]["number"] != asked.number:
            raise Violation(f"{self.name}: the answer of another call: {message}")

    # -- being called ----------------------------------------------------------------------------

    def received(self, link: Link, frame: bytes) -> None:
        if link is not self.link:
            return
        message = msgspec.json.decode(frame)
        self.world.note(f"{self.name} < {frame[:160].decode()}")
        match message["type"]:
            case "workerregistered":
                self._welcome(link, message)
            case "invocationresult":
                self._settle(message)
            case "invokefunction":
                self._work(link, message)
            case "registertrigger":
                self._told_of(message)
            case "unregistertrigger":
                if self.told.pop(message["id"], None) is None:
                    raise Violation(f"{self.name}: told to forget what it was not told: {message}")

    def _welcome(self, link: Link, message: dict[str, Any]) -> None:
        self.accepted = True
        token = message["reattach_token"]
        self._identity = {"previous_worker_id": message["worker_id"], "reattach_token": token}
        for frame in self._held:
            link.to_engine(frame)
        self._held.clear()

    def _told_of(self, message: dict[str, Any]) -> None:
        if message["id"] in self.told:
            raise Violation(f"{self.name}: told twice of {message['id']}")
        self.told[message["id"]] = message["function_id"]
        fields = {key: message[key] for key in ("id", "trigger_type", "function_id")}
        delay = self.world.chance.choice((0.0, 0.02, 3.0))
        self.world.after(delay, self._send_on, self.link, "triggerregistrationresult", fields)

    def _send_on(self, link: Link, type: str, fields: dict[str, Any]) -> None:
        """What belongs to a connection goes out on it or not at all."""
        if link is self.link:
            self.send(type, **fields)

    def _work(self, link: Link, message: dict[str, Any]) -> None:
        data, chance = message["data"], self.world.chance
        if "event" in data:
            self._check_event(data["trigger"], data["event"])
        else:
            self._check_order(data["_caller_worker_id"], data["number"])
        if message.get("invocation_id") is None:
            return
        answer = {key: message[key] for key in ("invocation_id", "function_id")}
        if message["function_id"] in self.functions:
            answer["result"] = data
        else:
            answer["error"] = {"code": "withdrawn", "message": "not offered any more"}
        dice = chance.random()
        if dice < 0.01:
            return  # it never answers: the deadline does
        delay = chance.choice((0.0, 0.001, 0.05, 1.0))
        self.world.after(delay, self._send_on, link, "invocationresult", answer)
        if dice < 0.05:  # once more, which the engine must drop
            self.world.after(delay * 2, self._send_on, link, "invocationresult", answer)
        elif dice < 0.1:  # on whatever connection there is by then, too late or foreign
            self.world.after(delay + 2, self._answer_anyhow, link, answer)

    def _answer_anyhow(self, link: Link, answer: dict[str, Any]) -> None:
        if self.link is not None and link is not self.link:
            self.send("invocationresult", **{**answer, "result": {"number": -1}})

    def _check_event(self, trigger_id: str, number: int) -> None:
        self.events[trigger_id, number] += 1
        if self.events[trigger_id, number] > 1:
            raise Violation(f"{self.name}: event {number} of {trigger_id} came twice")
        key = (trigger_id, number % KEYS)
        if number <= self._last_event.get(key, 0):
            raise Violation(f"{self.name}: event {number} of {trigger_id} out of order")
        self._last_event[key] = number

    def _check_order(self, caller: str, number: int) -> None:
        pair = (caller, self.connections)
        if number <= self._last_call.get(pair, 0):
            raise Violation(f"{self.name}: call {number} of {caller} out of order")
        self._last_call[pair] = number
