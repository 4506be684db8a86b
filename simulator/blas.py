"""Hold BLAS to one thread: runs use threads, and a product must not depend on other runs."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import scipy.linalg  # noqa: F401  (loads the BLAS that the kernels call, before it is looked for)
from threadpoolctl import ThreadpoolController

__all__ = ["one_blas_thread"]

_lock = threading.Lock()
_inside = 0
# Every BLAS of this process, and its number of threads before the first thread entered.
_before: list[tuple[Any, int]] = []


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Hold every BLAS of this process to one thread inside a ``with`` block.

    The limit holds for the process: the first thread to enter sets it and the last to leave lifts
    it, so a run that ends gives no more threads to one that continues.
    """
    global _inside
    with _lock:
        if _inside == 0:
            libraries = ThreadpoolController().select(user_api="blas").lib_controllers
            _before[:] = [(one, one.num_threads) for one in libraries if one.num_threads]
            _set((library, 1) for library, _ in _before)
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                _set(_before)
                _take_control()


def _set(threads: Iterable[tuple[Any, int]]) -> None:
    _take_control()
    for library, number in threads:
        library.set_num_threads(number)


def _take_control() -> None:
    """Let any thread set the limit, not only the first one.

    threadpoolctl silently ignores all threads but the first that set the limit while it lives, but
    the last thread to leave may be another.
    """
    for library, _ in _before:
        if hasattr(library, "clear_controlling_thread"):
            library.clear_controlling_thread(force=True)


def _renew_lock() -> None:
    """Make a new lock in a forked process: the thread that held it may not exist there."""
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)
