"""Topics whose function is another engine's, and away."""

from __future__ import annotations

from tests.support.queue_desk import QueueDesk

from iii_engine.core.router import Call
from iii_engine.modules.queue.away import AWAY


class Work:
    """A function that is another engine's, and there or not."""

    def __init__(self) -> None:
        self.there = False
        self.calls: list[int] = []

    def __call__(self, call: Call) -> None:
        self.calls.append(int(bytes(call.data)))
        if self.there:
            call.reply()
        else:
            call.fail(AWAY, "not there")


async def test_jobs_of_a_topic_are_given_out_rarely_while_the_function_is_away(
    desk: QueueDesk,
) -> None:
    work = Work()
    desk.engine.add_function("f", work, module="test")
    settings = {"concurrency": 3, "maxRetries": 1}
    desk.trigger("t1", "t", "f", queue_config=settings)
    for n in range(9):
        desk.publish("t", n)
    await desk.advance(0.2)
    assert len(work.calls) == 3
    await desk.advance(63)  # rests of 1/4, 1/2, 1, 2, 4, 8, 16, 16 and 16 seconds
    assert len(work.calls) <= 3 * 9
    assert desk.stats("t")["dlq_depth"] == 0
    work.there = True
    work.calls.clear()
    desk.trigger("t2", "t", "f", queue_config=settings)  # its engine has subscribed anew
    await desk.advance(2)
    assert sorted(work.calls) == list(range(9))
    assert desk.stats("t") == {"waiting": 0, "active": 0, "delayed": 0, "dlq_depth": 0}


async def test_rests_begin_small_again_after_a_job_that_went_well(desk: QueueDesk) -> None:
    work = Work()
    desk.engine.add_function("f", work, module="test")
    desk.trigger("t1", "t", "f", queue_config={"concurrency": 1})
    desk.publish("t", 1)
    await desk.advance(20)  # the next rest is one of 16 seconds
    work.there = True
    await desk.advance(20)
    work.there = False
    desk.publish("t", 2)
    await desk.advance(0.1)
    work.there = True
    work.calls.clear()
    await desk.advance(2)
    assert work.calls == [2]
