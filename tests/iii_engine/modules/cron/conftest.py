from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.support.desk import Desk, running

from iii_engine.modules.cron import CronModule


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    """The time is 2023-11-14T22:13:20Z."""
    async with running(CronModule, trigger_type="cron") as desk:
        yield desk
