"""Where the seconds of a thread go: to the compiler, to the curvature, and to everything else."""

from __future__ import annotations

import threading
import time

from numba.core import event

__all__ = ["Stopwatch", "compiling", "timer"]


class _Compiler(threading.local, event.Listener):  # type: ignore[misc]
    """The seconds of this thread between calling a kernel and having its machine code."""

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


# Numba takes this lock whenever it has no machine code yet, and it waits in it for other threads.
_compiler = _Compiler()
event.register("numba:compiler_lock", _compiler)  # type: ignore[no-untyped-call]


def compiling() -> float:
    """The seconds that this thread has compiled kernels, loaded or waited for them."""
    return _compiler.seconds


def timer() -> float:
    """A clock of this thread that stands still meanwhile."""
    return time.perf_counter() - _compiler.seconds


class Stopwatch:
    """What this thread does from here on, by the names that a `Run` reports its seconds under."""

    def __init__(self) -> None:
        self._compiled, self._began = compiling(), timer()

    def seconds(self, curvature: float = 0.0) -> dict[str, float]:
        """The seconds so far, of which ``curvature`` were measured apart."""
        step = timer() - self._began - curvature
        return {"compile": compiling() - self._compiled, "step": step, "curvature": curvature}
