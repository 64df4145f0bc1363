"""Labels that say where a value came from, and the sinks that some labels may not reach. Pure."""

from __future__ import annotations

from typing import Literal, get_args

import msgspec
from msgspec import Struct

from agentos.workers.security.audit import Audit
from iii_sdk import Bus, InvalidInput

Label = Literal["ExternalNetwork", "Pii", "Secret", "UntrustedAgent", "UserInput"]
LABELS: frozenset[str] = frozenset(get_args(Label))

#: What each sink does not take.
SINKS: dict[str, frozenset[Label]] = {
    "LogOutput": frozenset({"Secret", "Pii"}),
    "NetworkSend": frozenset({"Secret"}),
    "FileWrite": frozenset({"Secret", "UntrustedAgent"}),
    "AgentResponse": frozenset({"Secret"}),
}

#: Removing one of these needs a reason.
GUARDED: frozenset[Label] = frozenset({"Secret", "UntrustedAgent"})


class Taints(Struct):
    """A set of labels; sorted in answers."""

    labels: list[Label] = []


class LabelValue(Struct):
    """Unknown labels are ignored."""

    value: object = None
    labels: list[str] = []


class Labelled(Struct):
    """A value with what is known about its origin."""

    value: object
    taints: Taints


class CheckSink(Struct):
    """May a value with these labels go to `sink`?"""

    sink: str = ""
    taints: Taints = msgspec.field(default_factory=Taints)


class SinkVerdict(Struct, rename="camel"):
    """`blocking_labels` are those that this sink refuses."""

    allowed: bool
    sink: str
    blocking_labels: list[str]


class Declassify(Struct, rename="camel"):
    """Take `remove` off. `reason` is required for `Secret` and `UntrustedAgent`."""

    value: object = None
    taints: Taints = msgspec.field(default_factory=Taints)
    remove: list[Label] = []
    reason: str | None = None
    agent_id: str | None = None


def known(labels: list[str]) -> list[Label]:
    """Those of the labels that exist, each once, sorted."""
    return sorted(label for label in get_args(Label) if label in labels)


async def label(request: LabelValue) -> Labelled:
    """Attach taint labels to a value."""
    return Labelled(request.value, Taints(known(request.labels)))


async def check(request: CheckSink) -> SinkVerdict:
    """Whether a labelled value may reach a sink."""
    refused = SINKS.get(request.sink)
    if refused is None:
        raise InvalidInput(f"Unknown sink: {request.sink}")
    blocking = sorted(refused.intersection(request.taints.labels))
    return SinkVerdict(not blocking, request.sink, [*blocking])


class Declassifier:
    """`taint::declassify`."""

    def __init__(self, audit: Audit) -> None:
        self._audit = audit

    async def declassify(self, request: Declassify, bus: Bus) -> Labelled:
        """Remove taint labels; audited, and with a reason where a secret is freed."""
        held = set(request.taints.labels)
        removed = sorted(held.intersection(request.remove))
        reason = (request.reason or "").strip()
        if not reason and not GUARDED.isdisjoint(removed):
            names = " and ".join(sorted(GUARDED.intersection(removed)))
            raise InvalidInput(f"$.reason: required to remove {names}")
        detail: dict[str, object] = {"removedLabels": removed}
        if reason:
            detail["reason"] = reason
        await self._audit.note(bus, "taint_declassified", request.agent_id, detail)
        return Labelled(request.value, Taints(sorted(held.difference(request.remove))))
