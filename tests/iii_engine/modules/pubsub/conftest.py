from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.support.desk import Desk, running

from iii_engine.modules.pubsub import PubSubModule


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    async with running(PubSubModule, trigger_type="subscribe") as desk:
        yield desk
