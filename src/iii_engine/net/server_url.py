"""Addresses of servers that the engine is a client of, and what their libraries say of them."""

from __future__ import annotations

from typing import Final

from iii_sdk import masking
from iii_sdk.masking import masked as masked

#: Seconds in which a server has to answer when the engine starts.
CONNECT_SECONDS: Final = 5.0


def reason(url: str, error: Exception) -> str:
    """What a library says of an address, unless it may repeat a part of a password."""
    words = str(error).removeprefix("nats: ").strip(" .")
    return masking.reason(url, words or "no answer")


def no_address(url: str, server: str) -> str:
    """The refusal of an address. Not in the words of who has read it: they quote parts of it."""
    return f"{masked(url)} is no address of a {server} server ({masking.EXPECTED})"
