"""Several changes of records, all or nothing, in one commit."""

from __future__ import annotations

from iii_engine.core.turns import at_once
from iii_engine.modules.pieces import array
from iii_engine.modules.state.records import Change, change
from iii_engine.modules.state.requests import TransactRequest
from iii_engine.storage.base import Transaction


class NotApplied(Exception):
    """A condition of one entry does not hold, so that nothing may be written."""

    def __init__(self, index: int) -> None:
        super().__init__(index)
        self.index = index

    @property
    def answer(self) -> bytes:
        return b'{"applied":false,"results":[],"failed_index":%d}' % self.index


def transact(transaction: Transaction, request: TransactRequest) -> list[Change]:
    """Make the changes in order; each sees those before it. Raises `NotApplied`."""
    changes: list[Change] = []
    for index, entry in enumerate(request.ops):
        made = change(transaction, entry)
        if not made.applied:
            raise NotApplied(index)
        changes.append(made)
    return changes


def answer(changes: list[Change]) -> bytes:
    return at_once(
        array((made.answer for made in changes), head=b'{"applied":true,"results":[', tail=b"]}")
    )
