"""Machine code on disk: a file for each specialisation of each kernel, shared by all processes.

Numba's own cache has an index for each function besides. Of two processes that write it at once
the last one wins, and a later process compiles again, or finds the code of another type under its
own. Here a name says all, and a file appears whole or not at all.
"""

from __future__ import annotations

import hashlib
import logging
import os
import pickle
import sys
import threading
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import numba
import platformdirs
from numba.core import config
from numba.core.caching import NullCache
from numba.core.compiler import CompileResult
from numba.core.serialize import dumps

__all__ = ["KernelCache", "directory"]

log = logging.getLogger(__name__)


@cache
def directory() -> Path:
    """One that changes whenever any kernel source does; there may be nothing yet."""
    digest = hashlib.sha256(f"{numba.__version__} {sys.implementation.cache_tag}".encode())
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.read_bytes())
    base = config.CACHE_DIR or platformdirs.user_cache_dir("warmup-simulator")  # type: ignore[attr-defined]
    return Path(base).absolute() / f"kernels-{digest.hexdigest()[:16]}"


@cache
def _complain(error: str) -> None:
    """Once: a kernel that cannot be kept works all the same."""
    log.warning("kernels cannot be kept and are compiled anew by every process: %s", error)


class KernelCache(NullCache):  # type: ignore[misc]
    """Numba's contract of a cache, for one kernel."""

    def __init__(self, function: Any) -> None:
        self._name = f"{function.__module__}.{function.__qualname__}".replace("<locals>.", "")
        self._code = function.__code__.co_code

    @property
    def cache_path(self) -> str:
        return str(directory())

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """The machine code for arguments of these types, or None."""
        target_context.refresh()
        try:
            kept = pickle.loads(self._file(sig, target_context.codegen()).read_bytes())
        except (OSError, EOFError, pickle.UnpicklingError):
            return None
        return CompileResult._rebuild(target_context, *kept)  # type: ignore[no-untyped-call]

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep it, if there is a place."""
        content = dumps(data._reduce())  # type: ignore[no-untyped-call]
        file = self._file(sig, data.codegen)
        part = file.with_suffix(f".{os.getpid()}-{threading.get_ident()}")
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            part.write_bytes(content)
            part.replace(file)
        except OSError as error:
            with suppress(OSError):
                part.unlink()
            _complain(f"{error.strerror}: {directory().parent}")

    def _file(self, sig: Any, codegen: Any) -> Path:
        key = repr((sig, codegen.magic_tuple(), self._code)).encode()
        return directory() / f"{self._name}-{hashlib.sha256(key).hexdigest()[:16]}.nbc"
