"""Being told to stop while a command works: by Ctrl-C, or by a scheduler that wants its node."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

__all__ = ["Terminated", "interruptible", "leave_threads_behind"]


class Terminated(KeyboardInterrupt):
    """SIGTERM, taken as Ctrl-C is."""


@contextmanager
def interruptible() -> Iterator[None]:
    """Raise `Terminated` in this block for SIGTERM, instead of dying of it."""

    def terminate(signum: int, frame: FrameType | None) -> NoReturn:
        raise Terminated

    # Only the main thread may listen to signals.
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def leave_threads_behind(code: int) -> None:
    """End the process now, if a thread is still compiling that cannot be told to stop."""
    if any(t.name.startswith("warmup") and t.is_alive() for t in threading.enumerate()):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
