"""The house decorator: how every kernel is compiled, and where its machine code is kept.

Kernels work on plain arrays, validate nothing and own no memory: callers bring the buffers.
They live in this package only, because the cache is keyed by this package's sources: Numba would
stamp a kernel with its own file, and keep stale callees silently.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
from numba.core import config
from numba.extending import register_jitable

from simulator.numerics.cache import KernelCache

__all__ = ["WITHOUT_WRAPPERS", "inlined", "kernel", "nested"]

Function = TypeVar("Function", bound=Callable[..., Any])

_ERROR_MODEL = "numpy"
# A wrapper that unpacks Python's arguments takes as long to compile as a small kernel does.
WITHOUT_WRAPPERS: Any = {
    "error_model": _ERROR_MODEL, "no_cpython_wrapper": True, "no_cfunc_wrapper": True,
}  # fmt: skip


def kernel(function: Function) -> Function:
    """Compile ``function`` on first use, the same way everywhere.

    ``nogil``: sweeps put one run on each thread. ``error_model="numpy"``: a division by zero is
    an infinity, a result to be flagged, and no branch in the loop. No ``fastmath``: it deletes the
    NaN checks that flag divergence, and makes a run's bits depend on what it is batched with.
    """
    options: Any = {"error_model": _ERROR_MODEL, "no_cfunc_wrapper": True}
    compiled: Any = numba.njit(nogil=True, **options)(function)
    if not config.DISABLE_JIT:  # type: ignore[attr-defined]
        compiled._cache = KernelCache(function)
    return cast(Function, compiled)


def nested(function: Function, **options: Any) -> Function:
    """Compile ``function`` as a part of the kernels that call it; Python runs it as Python.

    Its machine code is kept in the files of those kernels.
    """
    compilable: Function = register_jitable(**WITHOUT_WRAPPERS, **options)(function)
    return compilable


def inlined(function: Function) -> Function:
    """Compile a function of numbers into each loop that calls it.

    LLVM leaves a long function out of line, and then the loop around it is not vectorised.
    """
    return nested(function, forceinline=True)
