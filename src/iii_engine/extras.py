"""Packages that only some configurations need. They are imported where one is configured."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Final

from iii_sdk.errors import BusError

#: The extra of this distribution that brings a package, by the package's import name.
EXTRAS: Final = {"redis": "redis", "nats": "nats", "aio_pika": "rabbitmq"}


class MissingExtra(BusError):
    """The config asks for something whose package is not installed."""

    code = "missing_extra"


def need(package: str, what: str) -> None:
    """Raises `MissingExtra` with the command that installs the package `what` needs."""
    if find_spec(package) is None:
        extra = EXTRAS[package]
        raise MissingExtra(
            f"{what} needs the package '{package}', which is not installed: "
            f"pip install 'agentos[{extra}]'"
        )
