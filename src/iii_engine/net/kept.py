"""Read buffers that have grown, which picows keeps at their largest size."""

from __future__ import annotations

import ctypes
import mmap
import sys
from functools import cache
from typing import Final, Protocol

from iii_engine.core.sizes import MIB

#: Large read buffers of all connections together hold at most this much, in bytes.
KEPT_BYTES: Final = 256 * MIB


class Buffered(Protocol):
    """A connection with a large read buffer."""

    def trim(self) -> None:
        """Give the unused memory of the buffer back."""
        ...


class Kept:
    """Counts them, and has all of them trimmed when they are too much together.

    So a connection that goes on with large frames keeps its memory while there is enough, and
    one that sent one such frame in its life does not keep it forever.
    """

    def __init__(self, bound: int = KEPT_BYTES) -> None:
        self.bound = bound
        self.total = 0
        self._sizes: dict[Buffered, int] = {}

    def note(self, buffered: Buffered, size: int) -> None:
        """A buffer is in use and so large; 0 when it is gone."""
        self.total += size - self._sizes.pop(buffered, 0)
        if size:
            self._sizes[buffered] = size
        if self.total > self.bound:
            trimmed, self._sizes, self.total = self._sizes, {}, 0
            for each in trimmed:
                each.trim()


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def release(unused: memoryview) -> None:
    """Give whole pages back to the system. They stay there to be written to, and are empty."""
    if sys.platform != "linux":
        return  # elsewhere the same call may only be advice
    address = ctypes.addressof(ctypes.c_char.from_buffer(unused))
    start = -(-address // mmap.PAGESIZE) * mmap.PAGESIZE
    end = (address + len(unused)) // mmap.PAGESIZE * mmap.PAGESIZE
    if end > start:
        _libc().madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), mmap.MADV_DONTNEED)
