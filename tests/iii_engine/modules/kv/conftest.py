from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.support.desk import Desk, running

from iii_engine.modules.kv import KvModule


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    async with running(KvModule) as desk:
        yield desk
