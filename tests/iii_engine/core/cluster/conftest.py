"""Engines that are one bus, without sockets and with virtual time."""

from __future__ import annotations

import pytest
from tests.support.mesh import Mesh


@pytest.fixture
def mesh() -> Mesh:
    return Mesh("a", "b", "c")
