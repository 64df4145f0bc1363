"""What a connection may do."""

from __future__ import annotations

from typing import Protocol

from iii_sdk.protocol import ErrorBody


class Access(Protocol):
    """The permissions of one session; a session without one is trusted completely."""

    def may_call(self, function_id: str) -> bool: ...

    def may_bind(self, trigger_type: str) -> bool: ...

    def may_register_functions(self) -> bool: ...

    def may_register_trigger_types(self) -> bool: ...


def forbidden(function_id: str) -> ErrorBody:
    return ErrorBody(
        "FORBIDDEN",
        f"function '{function_id}' not allowed (add to rbac.expose_functions)",
    )


INFRASTRUCTURE = frozenset(
    {
        "engine::channels::create",
        "engine::workers::register",
        "engine::log::info",
        "engine::log::warn",
        "engine::log::error",
        "engine::log::debug",
        "engine::log::trace",
        "engine::baggage::get",
        "engine::baggage::set",
        "engine::baggage::get_all",
    }
)
