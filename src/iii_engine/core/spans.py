"""A span, as it is made when somebody looks. Terms and ids are those of OpenTelemetry."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

from msgspec import Struct

#: An attribute's value, as OTLP has it; lists and maps are JSON text.
AttributeValue: TypeAlias = str | bool | int | float
Attributes: TypeAlias = tuple[tuple[str, AttributeValue], ...]

SpanKind: TypeAlias = Literal["internal", "server", "client", "producer", "consumer"]
SpanStatus: TypeAlias = Literal["unset", "ok", "error"]


#: Functions that are the engine's (modules 2.1): by the beginning of their ids, and by the whole.
_INTERNAL_PREFIXES: Final = ("engine::", "iii::", "state::", "stream::", "kv_server::", "bridge.")
_INTERNAL: Final = frozenset(("publish", "enqueue"))


def function_kind(function_id: str) -> Literal["internal", "user"]:
    """The attribute `iii.function.kind`."""
    internal = function_id in _INTERNAL or function_id.startswith(_INTERNAL_PREFIXES)
    return "internal" if internal else "user"


class Resource(Struct, frozen=True):
    """Whose records these are; shared by all records of one source."""

    service_name: str
    attributes: dict[str, AttributeValue]


class Scope(Struct, frozen=True):
    """Which library made a record."""

    name: str | None = None
    version: str | None = None


class SpanEvent(Struct, frozen=True, gc=False):
    name: str
    time_ns: int
    attributes: Attributes = ()


class SpanLink(Struct, frozen=True, gc=False):
    trace_id: str
    span_id: str
    trace_state: str = ""
    attributes: Attributes = ()


class Span(Struct, frozen=True, kw_only=True, gc=False):
    """Times are nanoseconds since the Unix epoch; ids are 32 and 16 hex digits."""

    trace_id: str
    span_id: str
    parent_span_id: str | None
    name: str
    kind: SpanKind
    start_ns: int
    end_ns: int
    status: SpanStatus = "unset"
    status_description: str | None = None
    attributes: Attributes = ()
    events: tuple[SpanEvent, ...] = ()
    links: tuple[SpanLink, ...] = ()
    #: None: the engine itself.
    resource: Resource | None = None
    #: None: the engine itself.
    scope: Scope | None = None
    flags: int | None = None

    def span_count(self) -> int:
        return 1

    def spans(self) -> tuple[Span, ...]:
        """A span is its own record."""
        return (self,)

    def attribute(self, key: str) -> AttributeValue | None:
        return next((value for name, value in self.attributes if name == key), None)
