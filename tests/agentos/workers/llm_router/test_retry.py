"""Attempts and waits, on a clock that only sleeping moves."""

from __future__ import annotations

import pytest

from agentos.workers.llm_router.failures import ProviderBusy, ProviderRefused, ProviderUnreachable
from agentos.workers.llm_router.retry import Retry


class Attempts:
    """Raises the given errors one after the other, then succeeds."""

    def __init__(self, *errors, jitter=1.0):
        self.errors = list(errors)
        self.made = 0
        self.slept = []
        self.now = 0.0
        self.retry = Retry(self._sleep, lambda: jitter, lambda: self.now)

    async def _sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds

    async def __call__(self):
        self.made += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"

    async def run(self, timeout=120.0, may_retry=lambda: True):
        return await self.retry.run(self, timeout, may_retry)


def busy(retry_after=None):
    return ProviderBusy("busy", retry_after)


def refused(status):
    return ProviderRefused("no", status, None)


async def test_llm_router_case_12_two_429_then_success():
    attempts = Attempts(busy(), busy())
    assert await attempts.run() == "done"
    assert attempts.slept == [1.0, 2.0]


async def test_llm_router_case_12_three_429():
    attempts = Attempts(busy(), busy(), busy())
    with pytest.raises(ProviderBusy) as caught:
        await attempts.run()
    assert (caught.value.status, caught.value.retryable) == (429, True)
    assert attempts.made == 3


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422])
async def test_llm_router_case_12_other_4xx_once(status):
    attempts = Attempts(refused(status))
    with pytest.raises(ProviderRefused) as caught:
        await attempts.run()
    assert (caught.value.upstream_status, caught.value.retryable) == (status, False)
    assert attempts.made == 1


@pytest.mark.parametrize(
    "error", [*map(refused, (408, 500, 502, 503, 504, 529)), ProviderUnreachable("gone")]
)
async def test_what_may_pass_is_tried_again(error):
    assert await Attempts(error).run() == "done"


async def test_jitter_is_full():
    attempts = Attempts(busy(), busy(), jitter=0.25)
    await attempts.run()
    assert attempts.slept == [0.25, 0.5]


async def test_retry_after_is_honoured_up_to_a_limit():
    attempts = Attempts(busy(7.0), busy(300.0))
    await attempts.run()
    assert attempts.slept == [7.0, 30.0]


async def test_no_wait_goes_past_the_time_limit():
    attempts = Attempts(busy(5.0))
    with pytest.raises(ProviderBusy):
        await attempts.run(timeout=4.0)
    assert attempts.slept == []


async def test_no_retry_once_something_was_sent_on():
    attempts = Attempts(refused(500))
    with pytest.raises(ProviderRefused):
        await attempts.run(may_retry=lambda: False)
