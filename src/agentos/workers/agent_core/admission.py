"""What may refuse a message before a model sees it: shutdown, rate, slots, screening, budget."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from msgspec import Struct

from agentos.workers.agent_core.models import ChatError
from agentos.workers.agent_core.peers import Peers
from agentos.workers.agent_core.settings import GATE_SECONDS, RISK_LIMIT
from iii_sdk import BusError

log = logging.getLogger("agentos.agent_core")


class Refused(Exception):
    """The turn ends here, with an answer that says why."""

    def __init__(self, code: str, message: str, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.error = ChatError(code=code, message=message, retry_after=retry_after)


class _Rate(Struct, rename="camel"):
    allowed: bool = True
    retry_after: float | None = None


class _Slot(Struct, rename="camel"):
    acquired: bool = False
    current: int = 0
    limit: int = 0
    lease_id: str | None = None


class Scan(Struct, rename="camel"):
    """What the scanner says. `block`: together, the matches leave no innocent reading."""

    risk_score: object = 0
    block: bool = False

    @property
    def risk(self) -> float:
        """0..1; a score that is no number counts as 0."""
        score = self.risk_score
        return float(score) if isinstance(score, int | float) and score is not True else 0.0

    @property
    def suspicious(self) -> bool:
        return self.block or self.risk > RISK_LIMIT


class _Budget(Struct, rename="camel"):
    within_budget: bool = False
    spent: float = 0
    limit: float = 0


@asynccontextmanager
async def slot(peers: Peers, agent_id: str) -> AsyncIterator[None]:
    """One of the agent's places, after its rate was checked; given back exactly once."""
    await _check_rate(peers, agent_id)
    taken = await _take_slot(peers, agent_id)
    try:
        yield
    finally:
        if taken is not None:
            lease = {"leaseId": taken.lease_id} if taken.lease_id else {}
            peers.tell("rate::release_concurrent", {"agentId": agent_id, **lease})


async def _check_rate(peers: Peers, agent_id: str) -> None:
    asked = {"agentId": agent_id, "operation": "message"}
    try:
        rate = await peers.ask("rate::check_agent", asked, _Rate)
    except BusError as error:
        log.warning("rate check of %s failed: %s", agent_id, error)
        rate = _Rate(allowed=False, retry_after=60)
    if rate is not None and not rate.allowed:
        wait = int(rate.retry_after or 1)
        raise Refused(
            "rate_limited",
            f"Rate limit exceeded for agent {agent_id}. Retry after {wait} seconds.",
            retry_after=wait,
        )


async def _take_slot(peers: Peers, agent_id: str) -> _Slot | None:
    try:
        taken = await peers.ask("rate::acquire_concurrent", {"agentId": agent_id}, _Slot)
    except BusError as error:
        log.warning("no concurrency slot for %s: %s", agent_id, error)
        taken = _Slot()
    if taken is not None and not taken.acquired:
        raise Refused(
            "concurrency",
            f"Too many concurrent requests for agent {agent_id} ({taken.current}/{taken.limit}).",
            retry_after=1,
        )
    return taken


async def scan(peers: Peers, text: str) -> Scan:
    """Look for an injection. Raises `BusError` when the text could not be scanned: then it must
    not be used."""
    return await peers.bus.call(
        "security::scan_injection", {"text": text}, kind=Scan, timeout=GATE_SECONDS
    )


async def screen(peers: Peers, message: str) -> None:
    """Refuse a message that looks like an injection, or that could not be scanned."""
    try:
        found = await scan(peers, message)
    except BusError as error:
        log.warning("injection scan failed: %s", error)
        found = Scan(risk_score=1.0)
    if found.suspicious:
        raise Refused(
            "injection_rejected",
            f"Message rejected: potential injection detected (risk score {found.risk:.2f})",
        )


async def check_budget(peers: Peers, agent_id: str) -> None:
    """Refuse when the agent's money is spent."""
    try:
        budget = await peers.ask("cost::budget_check", {"agentId": agent_id}, _Budget)
    except BusError as error:
        log.warning("budget check of %s failed: %s", agent_id, error)
        budget = _Budget()
    if budget is not None and not budget.within_budget:
        raise Refused(
            "budget_exceeded",
            f"Agent {agent_id} exceeded its budget: "
            f"${budget.spent:.4f} spent of ${budget.limit:.4f}",
        )
