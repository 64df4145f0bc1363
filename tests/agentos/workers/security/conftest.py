"""The security worker on a real engine."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.support.engine import RunningEngine
from tests.support.served import served

from agentos.workers.security.worker import create
from iii_sdk import Bus


@pytest.fixture(autouse=True)
def audit_hmac_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fixed key, so that no test writes one into a home folder."""
    monkeypatch.setenv("AUDIT_HMAC_KEY", "unit-test-key")


@pytest.fixture
async def bus(engine: RunningEngine) -> AsyncIterator[Bus]:
    """A caller beside the security worker."""
    async with served(engine, create()) as caller:
        yield caller
