"""An engine for a whole file of peers that may do anything, and two workers it must not fail."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.support.hostile import Pair, ThreadedEngine


@pytest.fixture(scope="module")
def engine(request: pytest.FixtureRequest) -> Iterator[ThreadedEngine]:
    """With the module's `OPTIONS`, where it has any."""
    with ThreadedEngine(getattr(request.module, "OPTIONS", None)).running() as engine:
        yield engine


@pytest.fixture(scope="module")
def healthy(engine: ThreadedEngine) -> Iterator[Pair]:
    with Pair(engine.port) as pair:
        yield pair
