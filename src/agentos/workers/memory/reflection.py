"""Drawing durable facts and skills out of conversations, with the help of a cheap model.

Transcripts are untrusted: they go to the model as quoted data, and what it makes of them is
scanned before it is remembered.
"""

from __future__ import annotations

import logging
import re
from typing import Literal, TypeVar

import msgspec
from msgspec import Struct

from agentos.kernel.clock import Clock, now_ms
from agentos.kernel.ids import require_id
from agentos.workers.memory.entries import Entries, Recall
from agentos.workers.memory.llm import ask
from agentos.workers.memory.store import ATTEMPTS, to_json
from iii_sdk import Bus, BusError
from iii_sdk.state import increment, set_

log = logging.getLogger("agentos.memory")

T = TypeVar("T")

REFLECT_EVERY = 5
REVIEW_FROM_ITERATIONS = 5
REVIEW_PAUSE_MS = 5 * 60_000
RECALLED = 30
USED = 20
TEXT_LENGTH = 500
MIN_IMPORTANCE = 0.5
MAX_RISK = 0.5
#: Facts kept per session, the newest.
MAX_FACTS = 200

CURATE = (
    "You keep the long-term memory of an assistant. From the conversation you are given, extract "
    "facts that will still matter in later conversations: preferences, decisions, lessons, "
    "context. Leave out what is listed as known already. Answer with JSON only: "
    '{"facts":[{"content":string,"importance":0..1,'
    '"category":"preference"|"decision"|"learning"|"context"}],'
    '"profileUpdates":object|null}. profileUpdates holds what is new about the user as a person.'
)
DISCOVER = (
    "You watch an assistant at work. Judge from the conversation you are given whether it solved "
    "a task in a way worth keeping as a reusable skill. Answer with JSON only: "
    '{"shouldCreate":boolean,"name":string,"goal":string,"spec":string}; '
    "the name in lower case with hyphens, the spec precise enough to build the skill from."
)

_FENCE = re.compile(r"^\s*```[a-zA-Z]*\s*\n(.*?)\n?\s*```\s*$", re.DOTALL)


class CheckTurn(Struct, rename="camel"):
    """`iterations` is the number of tool rounds of the turn."""

    agent_id: str = ""
    session_id: str = "default"
    iterations: int = 0


class TurnChecked(Struct, rename="camel"):
    """What the turn has set off."""

    should_reflect: bool
    should_review_skills: bool
    turn_count: int


class Curate(Struct, rename="camel"):
    """Which conversation."""

    agent_id: str = ""
    session_id: str = "default"


class Curated(Struct, rename="camel", omit_defaults=True):
    """`total_facts` is what the model found, also the less important."""

    saved: int
    total_facts: int | None = None


class Fact(Struct):
    """`importance` 0..1."""

    content: str = ""
    importance: float = 0.0
    category: str = "context"


class Findings(Struct, rename="camel"):
    """What the model answers to `CURATE`."""

    facts: list[Fact] = []
    profile_updates: dict[str, object] | None = None


class Summary(Struct, rename="camel"):
    """The facts already drawn out of a session."""

    facts: list[Fact] = []
    updated_at: int | None = None


class Discover(Struct, rename="camel"):
    """`iterations` is the number of tool rounds of the turn."""

    agent_id: str = ""
    session_id: str = "default"
    iterations: int = 0


class Created(Struct):
    """A skill is being made."""

    name: str
    created: Literal[True] = True


class NotCreated(Struct):
    """Nothing worth a skill."""

    created: Literal[False] = False


class Proposal(Struct, rename="camel"):
    """What the model answers to `DISCOVER`."""

    should_create: bool = False
    name: str | None = None
    goal: str | None = None
    spec: object = None


class Turns(Struct, rename="camel"):
    """What is counted per session."""

    turn_count: int = 0
    last_review: int | None = None


class Risk(Struct, rename="camel"):
    """What the injection scanner answers."""

    risk_score: float


def parse(text: str | None, kind: type[T]) -> T | None:
    """The JSON of a model's answer, with or without a code fence; None when it is none."""
    if text is None:
        return None
    fenced = _FENCE.match(text)
    try:
        return msgspec.json.decode(fenced[1] if fenced else text, type=kind)
    except msgspec.DecodeError:
        log.info("the model's answer was not the JSON asked for")
        return None


def scope(agent_id: str) -> str:
    """Where turns are counted."""
    return f"reflect:{agent_id}"


def summary_scope(agent_id: str) -> str:
    """Where the facts of sessions are."""
    return f"reflect:summary:{agent_id}"


class Reflection:
    """`reflect::*`."""

    def __init__(self, entries: Entries, clock: Clock = now_ms) -> None:
        self._entries = entries
        self._clock = clock

    async def check_turn(self, request: CheckTurn, bus: Bus) -> TurnChecked:
        """Count a turn; every fifth sets off curation, a long one a look for skills."""
        agent_id = require_id(request.agent_id, "agentId")
        counted = await bus.state.update(
            scope(agent_id), request.session_id, [increment("turnCount")]
        )
        turns = msgspec.convert(counted.new_value, Turns)
        where = {"agentId": agent_id, "sessionId": request.session_id}
        reflect = turns.turn_count % REFLECT_EVERY == 0
        if reflect:
            bus.send("reflect::curate_memory", where)
        review = request.iterations >= REVIEW_FROM_ITERATIONS
        if review and await self._claim_review(agent_id, request.session_id, turns, bus):
            bus.send("reflect::discover_skills", {**where, "iterations": request.iterations})
        return TurnChecked(reflect, review, turns.turn_count)

    async def _claim_review(self, agent_id: str, session_id: str, turns: Turns, bus: Bus) -> bool:
        """Whether it is this turn's to look for skills: one per session in five minutes."""
        now = self._clock()
        last = turns.last_review
        if last is not None and now - last < REVIEW_PAUSE_MS:
            return False
        claim = await bus.state.update(
            scope(agent_id), session_id, [set_("lastReview", now)], expect={"lastReview": last}
        )
        return claim.applied

    async def curate(self, request: Curate, bus: Bus) -> Curated:
        """Extract durable facts from the recent conversation and remember them."""
        agent_id = require_id(request.agent_id, "agentId")
        transcript = await self._transcript(agent_id, bus)
        if not transcript:
            return Curated(0)
        where = summary_scope(agent_id)
        known = await bus.state.get(where, request.session_id, Summary) or Summary()
        if known.facts:
            transcript += "\n\nKnown already:\n" + "\n".join(f"- {f.content}" for f in known.facts)
        findings = parse(await ask(bus, CURATE, transcript), Findings)
        if findings is None:
            return Curated(0)
        saved = [fact for fact in findings.facts if await self._worth_keeping(fact, bus)]
        for fact in saved:
            bus.send("memory::store", _as_entry(agent_id, request.session_id, fact))
        await self._remember(agent_id, request.session_id, findings.facts, bus)
        if findings.profile_updates:
            updates = {"agentId": agent_id, "updates": findings.profile_updates}
            bus.send("memory::user_profile::update", updates)
        return Curated(len(saved), len(findings.facts))

    async def _transcript(self, agent_id: str, bus: Bus) -> str:
        """The recent conversation, shortened; empty when nothing is remembered."""
        request = Recall(agent_id, "recent conversation context", RECALLED)
        recalled = await self._entries.search(request, bus)
        return "\n".join(f"{item.role}: {item.content[:TEXT_LENGTH]}" for item in recalled[-USED:])

    async def _worth_keeping(self, fact: Fact, bus: Bus) -> bool:
        """Whether a fact matters and does not try to give orders; not scanned is not kept."""
        if not fact.content.strip() or fact.importance < MIN_IMPORTANCE:
            return False
        try:
            scan = await bus.call(
                "security::scan_injection", {"text": fact.content}, kind=Risk, timeout=10.0
            )
        except BusError as error:
            log.warning("a fact could not be scanned and was dropped: %s", error.code)
            return False
        return scan.risk_score <= MAX_RISK

    async def _remember(self, agent_id: str, session_id: str, facts: list[Fact], bus: Bus) -> None:
        """Add facts to those known of the session."""
        for _ in range(ATTEMPTS):
            known = await bus.state.get(summary_scope(agent_id), session_id, Summary)
            before = None if known is None else known.updated_at
            contents = {fact.content for fact in known.facts} if known else set()
            fresh = [fact for fact in facts if fact.content and fact.content not in contents]
            joined = [*(known.facts if known else []), *fresh][-MAX_FACTS:]
            now = max(self._clock(), (before or 0) + 1)
            record = to_json(Summary(joined, now))
            written = await bus.state.update(
                summary_scope(agent_id),
                session_id,
                [set_("", record)],
                expect={"updatedAt": before},
            )
            if written.applied:
                return
        log.warning("the facts of a session change too fast; some were not noted as known")

    async def discover(self, request: Discover, bus: Bus) -> Created | NotCreated:
        """Look for a reusable skill in a long turn and have it made."""
        agent_id = require_id(request.agent_id, "agentId")
        if request.iterations < REVIEW_FROM_ITERATIONS:
            return NotCreated()
        transcript = await self._transcript(agent_id, bus)
        proposal = parse(await ask(bus, DISCOVER, transcript), Proposal) if transcript else None
        if proposal is None or not (proposal.should_create and proposal.name and proposal.goal):
            return NotCreated()
        metadata = {
            "source": "auto_reflection",
            "sessionId": request.session_id,
            "iterations": request.iterations,
        }
        order = {
            "goal": proposal.goal,
            "spec": proposal.spec,
            "name": proposal.name,
            "agentId": agent_id,
            "metadata": metadata,
        }
        bus.send("evolve::generate", order)
        return Created(proposal.name)


def _as_entry(agent_id: str, session_id: str, fact: Fact) -> dict[str, object]:
    return {
        "agentId": agent_id,
        "sessionId": session_id,
        "role": "system",
        "content": f"[Curated] {fact.content}",
    }
