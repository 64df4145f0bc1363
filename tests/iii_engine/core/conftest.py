"""The bus that most tests of the core want: without sockets, with a clock they move."""

from __future__ import annotations

import pytest
from tests.support.bus import Bus, Peer


@pytest.fixture
def bus() -> Bus:
    return Bus()


@pytest.fixture
def hook(bus: Bus) -> Peer:
    """Offers the function that `Rules` name as theirs in these tests."""
    return bus.peer("hook")
