"""Machine code on disk: one file per specialisation of a kernel, shared by all processes.

Numba's own cache also keeps an index per function. When two processes write it at once, one write
is lost: a later process compiles again, or loads the code of another type. Here the file name is
the key, and a file is replaced as a whole.

A file is a digest, then the pickled kernel. The digest covers the key too, so that neither damage
nor another kernel's file is ever loaded: what does not match is compiled and written again. Anybody
can compute a digest. That nobody else's files are loaded rests on their owner and permissions.
"""

from __future__ import annotations

import hashlib
import logging
import os
import pickle
import stat
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numba
import platformdirs
from numba.core import config
from numba.core.caching import NullCache
from numba.core.compiler import CompileResult
from numba.core.serialize import dumps

from simulator.checks import InputError

__all__ = ["KernelCache", "directory"]

log = logging.getLogger(__name__)


@cache
def directory() -> Path:
    """Where the kernels of these sources are kept; it need not exist.

    Raises
    ------
    InputError
        If this folder or the one that holds it belongs to another user, or others can write to it.
    """
    digest = hashlib.sha256(f"{numba.__version__} {sys.implementation.cache_tag}".encode())
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.read_bytes())
    chosen = config.CACHE_DIR  # type: ignore[attr-defined]
    base = Path(chosen or platformdirs.user_cache_dir("warmup-simulator")).absolute()
    found = base / f"kernels-{digest.hexdigest()[:16]}"
    for folder in (base, found):
        try:
            exposure = _exposure(folder.stat())
        except OSError:  # there is none, or none to be seen: then no file is loaded from it
            continue
        if exposure:
            raise InputError(
                "NUMBA_CACHE_DIR" if chosen else "kernel cache", folder,
                f"{exposure}, and code in it is run; make it yours alone (chown, chmod go-w), "
                "or set NUMBA_CACHE_DIR to a folder that is",
            )  # fmt: skip
    return found


def _exposure(status: os.stat_result) -> str:
    """How other users could have put code of theirs into a file or folder; empty if they cannot.

    Root is trusted. In a folder with the sticky bit, others cannot replace the files of its owner.
    """
    if os.name == "nt":  # permissions are not in these fields
        return ""
    if status.st_uid not in (0, os.geteuid()):
        return "it belongs to another user"
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not status.st_mode & stat.S_ISVTX:
        return "other users can write to it"
    return ""


@cache
def _complain(error: str) -> None:
    """Once: a kernel that cannot be kept works all the same."""
    log.warning("kernels cannot be kept and are compiled anew by every process: %s", error)


class KernelCache(NullCache):  # type: ignore[misc]
    """Numba's contract of a cache, for one kernel.

    Raises
    ------
    InputError
        As `directory` does: when kernels are imported, before a command has begun its work.
    """

    def __init__(self, function: Any) -> None:
        directory()
        self._name = f"{function.__module__}.{function.__qualname__}".replace("<locals>.", "")
        self._code = function.__code__.co_code

    @property
    def cache_path(self) -> str:
        return str(directory())

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """The machine code for arguments of these types, or None."""
        target_context.refresh()
        key = self._key(sig, target_context.codegen())
        try:
            with self._file(key).open("rb") as file:
                if _exposure(os.fstat(file.fileno())):
                    return None
                digest = file.read(len(key))
                content = file.read()
            if hashlib.sha256(key + content).digest() != digest:
                return None
            return CompileResult._rebuild(target_context, *pickle.loads(content))  # type: ignore[no-untyped-call]
        except Exception:  # whatever is wrong with a file, compiling replaces it
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep it, if there is a place."""
        key = self._key(sig, data.codegen)
        content = dumps(data._reduce())  # type: ignore[no-untyped-call]
        try:
            for folder in (directory().parent, directory()):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _replace(self._file(key), hashlib.sha256(key + content).digest() + content)
        except OSError as error:
            _complain(f"{error.strerror}: {directory().parent}")

    def _key(self, sig: Any, codegen: Any) -> bytes:
        """A digest of all that tells this specialisation from others."""
        key = (directory().name, self._name, sig, codegen.magic_tuple(), self._code)
        return hashlib.sha256(repr(key).encode()).digest()

    def _file(self, key: bytes) -> Path:
        return directory() / f"{self._name}-{key.hex()[:16]}.nbc"


def _replace(file: Path, content: bytes) -> None:
    """Write a file that only its owner can read, on the disk before it has its name."""
    handle, part = tempfile.mkstemp(dir=file.parent, prefix=f"{file.stem}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(handle)
        Path(part).replace(file)
    except BaseException:
        Path(part).unlink(missing_ok=True)
        raise
