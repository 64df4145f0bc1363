"""On whose behalf a function is provided."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from iii_engine.core.access import Access


class Standing(NamedTuple):
    """A worker's standing towards one function, also for other engines.

    `party` is empty for trusted workers, else that of `Access`. `granted`: the worker's auth
    function named the function.
    """

    party: str = ""
    granted: bool = False


TRUSTED: Final = Standing(granted=True)


def standing_of(access: Access | None, function_id: str) -> Standing:
    """That of a worker with these rights."""
    if access is None or not access.rules.guarded:
        return TRUSTED
    return Standing(access.party, function_id in access.grant.allowed_functions)


def party_of(access: Access | None) -> str:
    """The party of who has these rights; empty for who is trusted."""
    return "" if access is None or not access.rules.guarded else access.party
