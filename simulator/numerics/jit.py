"""The house decorator: how every kernel is compiled, and where its machine code is kept.

Kernels work on plain arrays, validate nothing and own no memory: callers bring the buffers.
They live in this package only, because the cache below is keyed by this package's sources.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
import platformdirs
from numba.core import config

__all__ = ["cache_is_cold", "inlined", "kernel"]

Function = TypeVar("Function", bound=Callable[..., Any])


def _cache_directory() -> Path | None:
    """A writable directory that changes whenever any kernel source does, or None.

    Numba stamps a kernel with its own file only, and keeps stale callees silently.
    """
    digest = hashlib.sha256(numba.__version__.encode())
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.read_bytes())
    base = os.environ.get("NUMBA_CACHE_DIR") or platformdirs.user_cache_dir("warmup-simulator")
    directory = Path(base) / f"kernels-{digest.hexdigest()[:16]}"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=directory).close()
    except OSError:
        return None
    return directory


_CACHE = _cache_directory()


@contextmanager
def _caching_in(directory: Path) -> Iterator[None]:
    """Numba reads its cache directory at decoration: ours must not leak into a user's kernels."""
    previous = config.CACHE_DIR  # type: ignore[attr-defined]
    config.CACHE_DIR = str(directory)  # type: ignore[attr-defined]
    try:
        yield
    finally:
        config.CACHE_DIR = previous  # type: ignore[attr-defined]


def _compile(function: Function, **options: Any) -> Function:
    options |= {"nogil": True, "error_model": "numpy"}
    compiled: Any
    if _CACHE is None:
        compiled = numba.njit(**options)(function)
    else:
        with _caching_in(_CACHE):
            compiled = numba.njit(cache=True, **options)(function)
    return cast(Function, compiled)


def kernel(function: Function) -> Function:
    """Compile ``function`` on first use, the same way everywhere.

    ``nogil``: sweeps put one run on each thread. ``error_model="numpy"``: a division by zero is
    an infinity, a result to be flagged, and no branch in the loop. No ``fastmath``: it deletes the
    NaN checks that flag divergence, and makes a run's bits depend on what it is batched with.
    """
    return _compile(function)


def inlined(function: Function) -> Function:
    """Compile a function of numbers into each loop that calls it.

    LLVM leaves a long function out of line, and then the loop around it is not vectorised.
    """
    return _compile(function, forceinline=True)


def cache_is_cold() -> bool:
    """Whether the next kernel call is going to compile rather than load."""
    if config.DISABLE_JIT:  # type: ignore[attr-defined]
        return False
    return _CACHE is None or next(_CACHE.rglob("*.nbc"), None) is None
