"""A system of its own, as the programs that people run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.house import House


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """Not started yet."""
    house = House(tmp_path / "home")
    yield house
    house.close()
