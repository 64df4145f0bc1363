"""The memory worker on a real engine, with a clock and stand-ins that the test moves."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.support.engine import RunningEngine
from tests.support.served import StandIn, served

from agentos.workers.memory.worker import create
from iii_sdk import Bus

#: A time in 2023, in epoch ms.
NOW = 1_700_000_000_000
HOUR = 3_600_000
DAY = 24 * HOUR


class TestClock:
    """Epoch ms; stands still until the test moves it."""

    __test__ = False

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> int:
        return self.now


class Memory:
    """Calls of the memory worker, for one agent."""

    def __init__(self, bus: Bus, agent_id: str = "a1") -> None:
        self.bus = bus
        self.agent_id = agent_id

    async def __call__(self, function: str, **data: Any) -> Any:
        return await self.bus.call(f"memory::{function}", {"agentId": self.agent_id, **data})

    async def store(self, content: str, **data: Any) -> Any:
        return await self("store", content=content, **data)

    async def put(self, entry_id: str, **fields: Any) -> None:
        """Write an entry and its pointer as an older deployment would have done."""
        record = {
            "id": entry_id,
            "agentId": self.agent_id,
            "content": f"content of {entry_id}",
            "role": "user",
            "timestamp": NOW,
            "importance": 0.5,
            "hash": f"hash-{entry_id}",
            **fields,
        }
        scope = f"memory:{self.agent_id}"
        await self.bus.state.set(scope, entry_id, record)
        await self.bus.state.set(scope, record["hash"], {"id": entry_id, "timestamp": NOW})

    async def entry(self, entry_id: str) -> Any:
        return await self.bus.state.get(f"memory:{self.agent_id}", entry_id)

    async def keys(self) -> set[str]:
        return {key for key, _ in await self.bus.state.items(f"memory:{self.agent_id}")}

    async def session(self, session_id: str) -> Any:
        return await self.bus.state.get(f"sessions:{self.agent_id}", session_id)

    async def set_session(self, session_id: str, messages: list[Any]) -> None:
        record = {"sessionId": session_id, "agentId": self.agent_id, "messages": messages}
        await self.bus.state.set(f"sessions:{self.agent_id}", session_id, record)


@pytest.fixture
def clock() -> TestClock:
    return TestClock()


@pytest.fixture
def others() -> StandIn:
    """The functions of other workers that memory calls; a test replaces the answers."""
    return StandIn(
        {
            "llm::complete": {"content": "a summary", "provider": "anthropic"},
            "security::scan_injection": {"riskScore": 0.0},
            "evolve::generate": {},
        }
    )


@pytest.fixture
async def memory(engine: RunningEngine, clock: TestClock, others: StandIn) -> AsyncIterator[Memory]:
    """The memory of agent `a1`; the agent has no embedding worker."""
    async with served(engine, others.worker, create(clock)) as bus:
        yield Memory(bus)
