from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.support.desk import Desk, running

from iii_engine.modules.state import StateModule


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    async with running(StateModule, trigger_type="state") as desk:
        yield desk
