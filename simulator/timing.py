"""The time that a thread spends on compilation, on curvature and on everything else."""

from __future__ import annotations

import threading
import time

from numba.core import event

__all__ = ["Stopwatch", "compiling", "timer"]


class _Compiler(threading.local, event.Listener):  # type: ignore[misc]
    """The time between calling a kernel and having its machine code, in this thread."""

    def __init__(self) -> None:
        self.seconds, self._depth, self._began = 0.0, 0, 0.0

    def on_start(self, event: event.Event) -> None:
        if self._depth == 0:
            self._began = time.perf_counter()
        self._depth += 1

    def on_end(self, event: event.Event) -> None:
        self._depth -= 1
        if self._depth == 0:
            self.seconds += time.perf_counter() - self._began


# Numba takes this lock whenever it needs to compile, and waits in it for other threads.
_compiler = _Compiler()
event.register("numba:compiler_lock", _compiler)  # type: ignore[no-untyped-call]


def compiling() -> float:
    """The time that this thread has spent on compiling, loading or waiting for kernels."""
    return _compiler.seconds


def timer() -> float:
    """A clock of this thread that stops during compilation."""
    return time.perf_counter() - _compiler.seconds


class Stopwatch:
    """The time of this thread from here on, under the names that a `Run` reports."""

    def __init__(self) -> None:
        self._compiled, self._began = compiling(), timer()

    def seconds(self, curvature: float = 0.0) -> dict[str, float]:
        """The times so far, of which ``curvature`` seconds were measured separately."""
        step = timer() - self._began - curvature
        return {"compile": compiling() - self._compiled, "step": step, "curvature": curvature}
