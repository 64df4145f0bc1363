"""As many items as fit into so many bytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator


def portion(items: Iterable[tuple[str, bytes]], size: int) -> Iterator[tuple[str, bytes]]:
    """The first of the items, whose values are `size` bytes together at most, or one item.

    No more are read than these and the one that does not fit.
    """
    taken = 0
    for key, value in items:
        taken += len(value)
        if taken > size and taken > len(value):
            return
        yield key, value
