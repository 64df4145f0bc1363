"""How long the process lives: as long as an instance is open, unless the main thread failed.

One thread per process watches the main thread. When that ends normally the process goes on serving;
when it ends by an exception (Ctrl-C, `sys.exit`) or was interactive, every instance is shut down.
SIGTERM counts as `sys.exit(0)` where the program left it alone.
"""

from __future__ import annotations

import atexit
import dis
import logging
import os
import signal
import sys
import threading
from types import FrameType
from typing import Protocol

log = logging.getLogger("iii.sdk")


class Instance(Protocol):
    """Something that keeps the process alive until it is shut down."""

    def shutdown(self) -> object: ...


_open: list[Instance] = []
_changed = threading.Condition()
_watching: int | None = None


def opened(instance: Instance) -> None:
    """Keep the process alive for this instance."""
    global _watching
    with _changed:
        _open.append(instance)
        if _watching != os.getpid():  # threads do not survive a fork
            _watching = os.getpid()
            frame = _outermost_frame(threading.main_thread())
            threading.Thread(target=_watch, args=(frame,), name="iii-keep-alive").start()
            atexit.register(close_all)
    _take_sigterm()


def closed(instance: Instance) -> None:
    """The instance is shut down. Harmless when done twice."""
    with _changed:
        if instance in _open:
            _open.remove(instance)
        _changed.notify_all()


def latest() -> Instance | None:
    """The instance opened last, of those still open."""
    with _changed:
        return _open[-1] if _open else None


def close_all() -> None:
    """Shut every instance down."""
    for instance in list(_open):
        try:
            instance.shutdown()
        except Exception:
            log.exception("shutting down failed")


def _watch(frame: FrameType | None) -> None:
    threading.main_thread().join()
    if hasattr(sys, "ps1") or (frame is not None and _failed(frame)):
        close_all()
    del frame
    with _changed:
        while _open:
            _changed.wait()


def _outermost_frame(thread: threading.Thread) -> FrameType | None:
    frame = sys._current_frames().get(thread.ident or 0)
    while frame is not None and frame.f_back is not None:
        frame = frame.f_back
    return frame


def _failed(frame: FrameType) -> bool:
    """Whether a finished frame was left by an exception: its last instruction is no return.

    There is no other trace of a `SystemExit` once the interpreter has handled it.
    """
    last = dis.opname[frame.f_code.co_code[frame.f_lasti]]
    return not last.startswith("RETURN")


def _take_sigterm() -> None:
    main = threading.current_thread() is threading.main_thread()
    if main and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _on_sigterm)


def _on_sigterm(number: int, frame: FrameType | None) -> None:
    if threading.main_thread().is_alive():
        raise SystemExit(0)
    # The interpreter waits for the other threads; an exception here would end it at once.
    threading.Thread(target=close_all, name="iii-shutdown", daemon=True).start()
