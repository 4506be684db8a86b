"""One BLAS thread: runs go side by side, and a matrix product must not depend on its neighbours."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import scipy.linalg  # noqa: F401  (loads the BLAS that the kernels call, before it is looked for)
from threadpoolctl import threadpool_limits

__all__ = ["one_blas_thread"]

_lock = threading.Lock()
_inside = 0
_limit = ExitStack()


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Hold every BLAS of this process to one thread inside a ``with`` block.

    The limit is the process's, so the first thread to enter sets it and the last to leave lifts
    it: a run that ends must not hand more threads to one that goes on.
    """
    global _inside
    with _lock:
        if _inside == 0:
            _limit.enter_context(threadpool_limits(1, user_api="blas"))
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                _limit.close()
