from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.support.queue_desk import QueueDesk, queue_desk


@pytest.fixture
async def desk() -> AsyncIterator[QueueDesk]:
    async with queue_desk() as desk:
        yield desk
