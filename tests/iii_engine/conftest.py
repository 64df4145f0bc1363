from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.followed import HTTP, MANAGER, Followed


@pytest.fixture
async def followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Followed]:
    monkeypatch.setattr("iii_engine.reloader.POLL_SECONDS", 0.01)
    monkeypatch.setattr("iii_engine.reloader.SETTLE_SECONDS", 0.02)
    made = Followed(tmp_path / "config.yaml")
    await made.start("workers:\n" + MANAGER % "" + HTTP % 0)
    yield made
    await made.stop()
