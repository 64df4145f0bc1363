"""Hearing of changes that others make to the entries of an indexed agent.

While an agent is indexed, a state trigger on its scope calls `memory::changed`. Events are lost
while the connection is down, so a new connection makes every index void.
"""

from __future__ import annotations

from msgspec import Struct

from agentos.workers.memory.index import RecallIndex
from agentos.workers.memory.records import memory_scope, read_entry
from iii_sdk import Bus, Call, Forbidden, on_state

CHANGED = "memory::changed"


class StateEvent(Struct):
    """What a state trigger says; `new_value` is None for a deletion."""

    scope: str
    key: str
    new_value: object = None


class Watcher:
    """Keeps `index` in step with the state."""

    def __init__(self, index: RecallIndex) -> None:
        self._index = index
        self._triggers: dict[str, str] = {}
        self._bus: Bus | None = None
        self._epoch = 0
        index.on_drop = self.unwatch

    def begin(self, bus: Bus) -> None:
        """Before the index is used: forget it when the connection is another one."""
        if bus is not self._bus or bus.epoch != self._epoch:
            self._index.drop_all()
            for agent_id in list(self._triggers):  # of loads that were not kept
                self.unwatch(agent_id)
            self._bus, self._epoch = bus, bus.epoch

    def watch(self, agent_id: str) -> None:
        """Ask for the changes of an agent's scope, from now on."""
        if self._bus is not None and agent_id not in self._triggers:
            binding = on_state(memory_scope(agent_id))
            self._triggers[agent_id] = self._bus.bind(CHANGED, binding)

    def unwatch(self, agent_id: str) -> None:
        """No more changes of this agent."""
        trigger_id = self._triggers.pop(agent_id, None)
        if trigger_id is not None and self._bus is not None:
            self._bus.unbind(trigger_id)

    async def changed(self, event: StateEvent, call: Call) -> None:
        """Take over a change of an agent's memory; called by state triggers only."""
        if call.caller is not None:
            raise Forbidden(f"{CHANGED} is called by state triggers only")
        agent_id = event.scope.removeprefix("memory:")
        if event.new_value is None:
            self._index.remove(agent_id, event.key)
        elif (entry := read_entry(event.new_value, event.key)) is not None:
            self._index.put(agent_id, entry)
