"""`engine::transact`: changes of several modules, all of them or none, in one commit."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any

from msgspec import Meta, Raw, Struct, field

from iii_engine.core.middleware import middleware_of
from iii_engine.core.router import Call
from iii_engine.core.turns import at_once
from iii_engine.modules.base import Host, fail, read
from iii_engine.modules.pieces import array
from iii_engine.modules.steps import Outcome, Step
from iii_engine.storage.base import Store, Transaction
from iii_sdk.errors import BusError
from iii_sdk.protocol import NULL, EnqueueAction

log = logging.getLogger("iii.engine")


class Change(Struct):
    """One change: the call that would make it alone."""

    #: A function of a module that changes the store: `state::set`, `stream::update`, `enqueue`…;
    #: with an action any function.
    function_id: str
    #: What it is called with.
    data: Raw = field(default_factory=lambda: NULL)
    #: Puts the call on a queue: `{"type": "enqueue", "queue": …}`.
    action: EnqueueAction | None = None


class Transact(Struct):
    """The changes, in order; each sees those before it."""

    changes: Annotated[list[Change], Meta(min_length=1, max_length=128)]


class Transacted(Struct):
    """`results` are those of the changes. Nothing was changed when `applied` is false: then the
    condition (`expect`, `if_absent`) of the change `failed_index` did not hold."""

    applied: bool
    results: list[Any]
    failed_index: int | None = None


class _NotApplied(Exception):
    """The condition of a change does not hold, so that nothing may be written."""

    def __init__(self, index: int) -> None:
        super().__init__(index)
        self.index = index


def transacting(host: Host) -> Callable[[Call], None]:
    """The handler of `engine::transact`."""

    def handler(call: Call) -> None:
        try:
            store, works = _prepare(host, call, read(call, Transact).changes)
        except BusError as error:
            fail(call, error)
        else:
            store.write(partial(_make, works), partial(_made, call))

    return handler


def _prepare(
    host: Host, call: Call, changes: list[Change]
) -> tuple[Store, list[Callable[[Transaction], Outcome]]]:
    """What to do, and where. Raises `BusError` that names the change; then nothing is done."""
    steps = [_step(host, call, index, change) for index, change in enumerate(changes)]
    works = []
    for index, (step, change) in enumerate(zip(steps, changes, strict=True)):
        try:
            works.append(step.prepare(call, change.function_id, change.data))
        except BusError as error:
            raise BusError(f"$.changes[{index}]: {error.message}", code=error.code) from None
        if step.store is not steps[0].store:
            raise BusError(
                f"$.changes[{index}]: {change.function_id} and {changes[0].function_id} keep their "
                "data in different stores",
                code="not_transactable",
            )
    return steps[0].store, works


def _step(host: Host, call: Call, index: int, change: Change) -> Step:
    """The step of a change, if the caller may call its function."""
    session, function_id = call.caller, change.function_id
    if session is not None and session.access is not None:
        deferred = change.action is not None
        if (refusal := session.access.refusal(function_id, deferred)) is not None:
            raise BusError(f"$.changes[{index}]: {refusal.message}", code=refusal.code)
        if middleware_of(host.engine, session, session.access, function_id) is not None:
            raise BusError(
                f"$.changes[{index}]: calls of {function_id} go through a middleware here",
                code="FORBIDDEN",
            )
    if change.action is None:
        step = host.steps.get(function_id)
    else:
        step = None if host.enqueue_step is None else host.enqueue_step(change.action)
    if step is None:
        raise BusError(
            f"$.changes[{index}]: {function_id} cannot be part of a transaction",
            code="not_transactable",
        )
    return step


def _make(works: list[Callable[[Transaction], Outcome]], transaction: Transaction) -> list[Outcome]:
    outcomes = []
    for index, work in enumerate(works):
        outcome = work(transaction)
        if not outcome.applied:
            raise _NotApplied(index)
        outcomes.append(outcome)
    return outcomes


def _made(call: Call, outcomes: list[Outcome] | None, error: BaseException | None) -> None:
    if isinstance(error, _NotApplied):
        call.reply(b'{"applied":false,"results":[],"failed_index":%d}' % error.index)
    elif outcomes is None:
        fail(call, error, "TRANSACT_ERROR")
    else:
        results = (outcome.answer for outcome in outcomes)
        head = b'{"applied":true,"results":['
        call.reply(at_once(array(results, head=head, tail=b"]}")))
        for outcome in outcomes:
            try:
                outcome.tell(call)
            except Exception:  # it is stored: the others must be told as well
                log.exception("after a change of a transaction")
