"""The module alone, on a virtual clock."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.support.desk import Desk, running

from iii_engine.modules.observability import ObservabilityModule


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    async with running(ObservabilityModule, trigger_type="log") as desk:
        yield desk
