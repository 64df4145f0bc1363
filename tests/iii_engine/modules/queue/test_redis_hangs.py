"""What those are told who ask a Redis of queues that hangs."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.queue_engine import holds, shared
from tests.support.servers import RedisServer
from tests.support.waiting import until

from iii_engine.modules.queue.redis import asking
from iii_engine.modules.queue.redis.scripts import looks
from iii_engine.storage.base import StoreError
from iii_engine.storage.pump import MAX_BATCH
from iii_sdk.errors import BusError


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "ANSWER_SECONDS", 1.0)
    monkeypatch.setattr(asking, "STALE_SECONDS", 0.5)


async def test_who_may_have_stored_a_job_is_told_so(redis_server: RedisServer) -> None:
    async with shared(redis_server, q={}) as (engine,):
        heard = engine.function("work")
        redis_server.pause()
        with pytest.raises(BusError, match="not known whether the change was made"):
            await engine.enqueue("q", "work", "in doubt")
        with pytest.raises(BusError, match="cannot be reached") as refused:
            await engine.enqueue("q", "work", "never sent")
        assert "not known" not in refused.value.message
        redis_server.resume()
        await until(lambda: heard == ["in doubt"])
        await until(lambda: holds(engine, "q", (0, 0)))
        assert heard == ["in doubt"]


async def test_what_waits_for_a_server_that_hangs_fails_together(
    redis_server: RedisServer,
) -> None:
    async with shared(redis_server, q={}) as (engine,):
        broker = engine.app.modules["iii-queue"].broker  # type: ignore[attr-defined]
        errors: list[str] = []

        def answered(answer: Any, error: StoreError | None) -> None:
            errors.append(str(error))

        await until(lambda: broker._asking._pump._task is None)
        redis_server.pause()
        for _ in range(3 * MAX_BATCH):
            broker._asking.ask(looks.STATS, ["q"], [], answered)
        await until(lambda: len(errors) == 3 * MAX_BATCH)
        redis_server.resume()
        never_sent = [error for error in errors if error.endswith("cannot be reached: no answer")]
        assert len(never_sent) == 2 * MAX_BATCH
        assert not any("not known" in error for error in errors)  # they change nothing
