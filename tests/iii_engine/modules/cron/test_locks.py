"""Locks of ticks in the store."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from iii_engine.core.clock import VirtualClock
from iii_engine.modules.cron.locks import StoreLocks
from iii_engine.storage.base import StoreError, Transaction
from iii_engine.storage.memory import MemoryStore

SECOND = 1_000_000_000


class Locks:
    """Two owners at one store."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.store = MemoryStore()
        self.mine = self.owner("me")
        self.other = self.owner("other")

    def owner(self, name: str) -> StoreLocks:
        return StoreLocks(self.store, self.clock, name, "cron_locks", 30_000)

    def take(self, locks: StoreLocks, job: str, instant: int) -> bool:
        answers: list[bool] = []
        locks.acquire(job, instant * SECOND, answers.append)
        (answer,) = answers
        return answer

    def count(self) -> int:
        return self.store.read(lambda transaction: transaction.count("cron/cron_locks"))


def since(locks: StoreLocks, now: int, oldest: int = 0) -> int | None:
    """All in seconds."""
    answers: list[int | None] = []
    locks.since("job", now * SECOND, oldest * SECOND, answers.append)
    (answer,) = answers
    return None if answer is None else answer // SECOND


@pytest.fixture
def locks() -> Locks:
    return Locks()


def test_a_tick_has_one_owner(locks: Locks) -> None:
    assert locks.take(locks.mine, "job", 1)
    assert not locks.take(locks.other, "job", 1)
    assert not locks.take(locks.mine, "job", 1)
    assert locks.take(locks.other, "job", 2)
    assert locks.take(locks.other, "another", 1)


def test_a_lock_ends_by_its_time(locks: Locks) -> None:
    locks.take(locks.mine, "job", 1)
    locks.clock.advance(29)
    assert not locks.take(locks.other, "job", 1)
    locks.clock.advance(1)
    assert locks.take(locks.other, "job", 1)


def test_a_lock_that_is_renewed_lives_on(locks: Locks) -> None:
    locks.take(locks.mine, "job", 1)
    locks.clock.advance(20)
    locks.mine.renew("job", SECOND)
    locks.clock.advance(20)
    assert not locks.take(locks.other, "job", 1)
    locks.take(locks.mine, "job", 2)  # removes what is old, which this one no longer is
    assert not locks.take(locks.other, "job", 1)


def test_another_owners_lock_is_neither_renewed_nor_removed(locks: Locks) -> None:
    locks.take(locks.mine, "job", 1)
    locks.clock.advance(30)
    locks.take(locks.other, "job", 1)
    locks.mine.renew("job", SECOND)
    locks.take(locks.mine, "job", 2)
    locks.clock.advance(29)
    assert not locks.take(locks.mine, "job", 1)
    locks.clock.advance(1)
    assert locks.take(locks.mine, "job", 1)


async def test_old_locks_go(locks: Locks) -> None:
    for instant in range(100):
        assert locks.take(locks.mine, "job", instant)
        locks.clock.advance(1)
    assert locks.count() <= 31
    locks.clock.advance(60)
    await locks.owner("next").open()
    assert locks.count() == 0


def test_a_lock_that_nobody_could_have_written_holds_nobody(locks: Locks) -> None:
    def spoil(transaction: Transaction) -> None:
        transaction.put("cron/cron_locks", "job:1000", b'"?"')

    locks.store.write(spoil, lambda result, error: None)
    assert locks.take(locks.mine, "job", 1)


def test_what_cannot_be_known_is_not_taken(
    locks: Locks, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(
        work: Callable[[Transaction], object],
        done: Callable[[object, BaseException | None], None],
    ) -> None:
        done(None, StoreError("disk full"))

    monkeypatch.setattr(locks.store, "write", full)
    with caplog.at_level(logging.ERROR):
        assert not locks.take(locks.mine, "job", 1)
    assert "disk full" in caplog.text


def test_the_latest_instant_is_remembered(locks: Locks) -> None:
    assert since(locks.mine, 1) == 1
    assert since(locks.other, 2) == 1
    locks.mine.acquire("job", 3 * SECOND, lambda got: None, remember=True)
    locks.mine.acquire("job", 4 * SECOND, lambda got: None)
    assert since(locks.other, 9, oldest=3) == 3
    assert since(locks.other, 9, oldest=4) == 9
    assert since(locks.mine, 10, oldest=4) == 9


def test_an_instant_that_nobody_could_have_written_does_not_count(locks: Locks) -> None:
    locks.store.write(lambda transaction: transaction.put("cron/runs", "job", b"x"), _ignore)
    assert since(locks.mine, 1) == 1


async def test_instants_of_jobs_that_nobody_registers_go(locks: Locks) -> None:
    now = locks.clock.now_ns() // SECOND
    since(locks.mine, now)
    await locks.owner("next").open()
    assert since(locks.mine, now + 1) == now
    locks.clock.jump(401 * 86_400)
    await locks.owner("next").open()
    assert locks.store.read(lambda transaction: transaction.count("cron/runs")) == 0


def _ignore(result: object, error: BaseException | None) -> None:
    assert error is None
