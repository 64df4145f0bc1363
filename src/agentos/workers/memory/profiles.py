"""What is known about the user of an agent."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from agentos.kernel.clock import Clock, now_ms
from agentos.kernel.ids import require_id
from agentos.workers.memory.store import ATTEMPTS
from iii_sdk import Bus, Conflict, InvalidInput
from iii_sdk.state import set_

KEY = "profile"
#: Longest list in a profile; the newest items stay.
MAX_ITEMS = 100

Profile = dict[str, object]


class UpdateProfile(Struct, rename="camel"):
    """`updates`: lists are joined, objects merged, other values replaced, nulls skipped."""

    agent_id: str = ""
    updates: Profile | None = None


class ProfileUpdated(Struct):
    """The whole profile after the update."""

    profile: Profile
    updated: bool = True


class GetProfile(Struct, rename="camel"):
    """Of which agent."""

    agent_id: str = ""


def scope(agent_id: str) -> str:
    """Where the profile of an agent is."""
    return f"user:profile:{agent_id}"


def merge(profile: Mapping[str, object], updates: Mapping[str, object]) -> Profile:
    """The profile with the updates in it."""
    merged = dict(profile)
    for key, value in updates.items():
        if value is None:
            continue
        old = merged.get(key)
        if isinstance(old, list) and isinstance(value, list):
            joined = old + [item for i, item in enumerate(value) if item not in old + value[:i]]
            merged[key] = joined[-MAX_ITEMS:]
        elif isinstance(old, dict) and isinstance(value, dict):
            merged[key] = {**old, **value}
        else:
            merged[key] = value
    return merged


class Profiles:
    """`memory::user_profile::*`."""

    def __init__(self, clock: Clock = now_ms) -> None:
        self._clock = clock

    async def update(self, request: UpdateProfile, bus: Bus) -> ProfileUpdated:
        """Merge new knowledge into the profile of an agent's user."""
        agent_id = require_id(request.agent_id, "agentId")
        if request.updates is None:
            raise InvalidInput("updates is required")
        for _ in range(ATTEMPTS):
            stored = await bus.state.get(scope(agent_id), KEY, Profile)
            profile = merge(stored or {}, request.updates)
            before = (stored or {}).get("updatedAt")
            # Every version has a time of its own, which makes it the mark to compare with.
            now = self._clock()
            profile["updatedAt"] = max(now, before + 1) if isinstance(before, int) else now
            written = await bus.state.update(
                scope(agent_id), KEY, [set_("", profile)], expect={"updatedAt": before}
            )
            if written.applied:
                return ProfileUpdated(profile)
        raise Conflict("the profile changes too fast; nothing was changed")

    async def get(self, request: GetProfile, bus: Bus) -> Profile | None:
        """The profile of an agent's user, or null."""
        agent_id = require_id(request.agent_id, "agentId")
        return await bus.state.get(scope(agent_id), KEY, Profile)
