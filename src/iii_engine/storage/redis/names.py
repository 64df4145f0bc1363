"""Which keys of Redis the spaces are."""

from __future__ import annotations

import re

#: The order of insertion of a hash is in a sorted set of this name and the hash's.
ORDER = b"iii:order:"


class Names:
    """Spaces that begin with `space` are hashes whose keys begin with `key` instead."""

    def __init__(self, space: str, key: str) -> None:
        self._space = space
        self._key = key

    def hash_of(self, space: str) -> bytes:
        assert space.startswith(self._space)
        return (self._key + space[len(self._space) :]).encode()

    def order_of(self, space: str) -> bytes:
        return ORDER + self.hash_of(space)

    def space_of(self, key: bytes) -> str | None:
        """None for a key that no space has."""
        try:
            space = self._named_by(key.decode())
        except UnicodeDecodeError:
            return None
        return space if self.hash_of(space) == key else None

    def _named_by(self, key: str) -> str:
        return self._space + key[len(self._key) :]

    def pattern(self, prefix: str) -> bytes:
        """What SCAN takes for the spaces that begin so."""
        begin = prefix if len(prefix) > len(self._space) else self._space
        return re.sub(rb"([*?\[\]\\^])", rb"\\\1", self.hash_of(begin)) + b"*"


class PairNames(Names):
    """Spaces `<space><first>/<second>` are hashes `<key><first>:<second>`.

    A `/` in the first name comes as `%2F` and is written as it is; a `:` is written `%3A`.
    """

    def hash_of(self, space: str) -> bytes:
        assert space.startswith(self._space)
        first, slash, second = space[len(self._space) :].partition("/")
        named = first.replace(":", "%3A").replace("%2F", "/")
        return f"{self._key}{named}{':' if slash else ''}{second}".encode()

    def _named_by(self, key: str) -> str:
        first, _, second = key[len(self._key) :].partition(":")
        return f"{self._space}{first.replace('/', '%2F').replace('%3A', ':')}/{second}"
