"""Put a store into its place: make it under another name, and rename it when complete.

Beside the store ``NAME``, ``.NAME.ID.new`` is a store that is being made or that has been replaced.
``.NAME.ID.old`` is one that makes room for ``.NAME.ID.new`` if the system cannot exchange two
names. While both exist, the old one is still valid.
"""

from __future__ import annotations

import errno
import logging
import os
import re
import shutil
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from simulator.checks import InputError
from simulator.sweeps.lock import Lock

__all__ = ["begin", "bring_back", "clear", "discard", "is_taken", "resolved", "settle"]

log = logging.getLogger(__name__)

_MAKING, _LEAVING = ".new", ".old"
_PATIENCE_SECONDS = 10.0
_TRIES = 100

# renameat2 of Linux and renamex_np of macOS: RENAME_EXCHANGE and RENAME_SWAP have one value.
_EXCHANGE = 2
_AT_FDCWD = -100
_CANNOT = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP)


def resolved(path: Path, option: str = "output") -> Path:
    """The real path of a store, with links resolved.

    Raises
    ------
    InputError
        If a link leads to itself.
    """
    if not path.is_symlink() and path.name not in ("", ".."):
        return path
    target = Path(os.path.realpath(path))
    if target.is_symlink():
        raise InputError(option, path, "is a symbolic link that leads to itself; remove it")
    return target


def is_taken(path: Path) -> bool:
    """Whether something exists at this path, or is to be restored to it."""
    return os.path.lexists(path) or bool(_beside(path, _LEAVING))


def _beside(path: Path, ending: str) -> list[Path]:
    """The folders with these names beside a store; only of this store, and no links."""
    name = re.compile(rf"\.{re.escape(path.name)}\.[0-9a-f]{{32}}{re.escape(ending)}")
    found = []
    with suppress(OSError), os.scandir(path.absolute().parent) as entries:
        for entry in entries:
            if name.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False):
                found.append(path.with_name(entry.name))
    return found


def begin(path: Path, *, shared: bool) -> tuple[Path, Lock]:
    """An empty folder for a new store, and its lock.

    Raises
    ------
    OSError
    """
    beside = path.with_name(f".{path.name}.{uuid.uuid4().hex}{_MAKING}")
    for left in reversed(range(_TRIES)):
        beside.mkdir(exist_ok=True)
        try:
            return beside, Lock(beside, shared=shared)
        except (InputError, FileNotFoundError):
            # Before it was locked, another process may have cleared it as abandoned.
            if not left:
                raise
            time.sleep(0.01)
        except BaseException:
            shutil.rmtree(beside, ignore_errors=True)
            raise
    raise AssertionError


def discard(beside: Path) -> None:
    """Remove a store that is not in its place, unless another store was moved there for it."""
    if not beside.with_suffix(_LEAVING).exists():
        shutil.rmtree(beside, ignore_errors=True)


def settle(beside: Path, path: Path, replaced: Lock | None) -> None:
    """Move a store into its place.

    Parameters
    ----------
    beside, path : paths
        The store, and its place.
    replaced : Lock or None
        The lock of the existing store, which is removed; None if there is none.

    Raises
    ------
    OSError
        If something else exists at the place; it is kept.
    """
    if replaced is None:
        if is_taken(path):
            raise FileExistsError(None, "was made in the meantime; --resume continues it")
        beside.rename(path)
        return
    if not replaced.is_at(path):
        raise FileNotFoundError(None, "was moved or removed in the meantime")
    _swap(beside, path)
    if not replaced.is_at(beside):
        # Another store was put there in the meantime: restore it.
        _swap(beside, path)
        raise FileExistsError(None, "was replaced in the meantime")
    shutil.rmtree(beside, ignore_errors=True)


def _swap(beside: Path, path: Path) -> None:
    """Exchange the names of two stores."""
    if not _exchange(beside, path):
        _take_turns(beside, path)


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two names in one step; False if the system cannot."""
    try:
        import ctypes

        libc = ctypes.CDLL(None, use_errno=True)
        names = os.fsencode(one), os.fsencode(other)
        if sys.platform == "darwin":
            failed = libc.renamex_np(*names, ctypes.c_uint(_EXCHANGE))
        else:
            at = ctypes.c_int(_AT_FDCWD)
            failed = libc.renameat2(at, names[0], at, names[1], ctypes.c_uint(_EXCHANGE))
    except (ImportError, AttributeError, OSError, TypeError):  # no such function or library
        return False
    number = ctypes.get_errno()
    if failed and number not in _CANNOT:
        raise OSError(number, os.strerror(number))
    return not failed


def _take_turns(beside: Path, path: Path) -> None:
    """Exchange two names in three steps; `bring_back` undoes the first."""
    leaving = beside.with_suffix(_LEAVING)
    try:
        path.rename(leaving)
        beside.rename(path)
    except BaseException:
        if leaving.exists() and not os.path.lexists(path):
            leaving.rename(path)
        raise
    leaving.rename(beside)


def bring_back(path: Path, option: str = "output") -> None:
    """Restore the name of a store whose replacing process died.

    Raises
    ------
    InputError
        If that process is alive, or if renaming fails.
    """
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not os.path.lexists(path) and (leaving := _beside(path, _LEAVING)):
        newest = max(leaving, key=_changed)
        try:
            with _claimed(newest) as lock:
                # Renaming loses nothing, which is all that is certain without locks.
                if lock is not None and not os.path.lexists(path):
                    newest.rename(path)
                    log.warning(
                        "%s: the process that was replacing it died; the old store is kept", path
                    )
                    return
        except OSError as error:
            raise InputError(
                option,
                path,
                f"is at {newest.name}, and cannot be renamed: {error.strerror}; rename it",
            ) from None
        if time.monotonic() > deadline:
            raise InputError(option, path, "is being replaced; wait for it, or name another")
        time.sleep(0.02)


def _changed(folder: Path) -> float:
    with suppress(OSError):
        return folder.stat().st_ctime
    return 0.0


@contextmanager
def _claimed(folder: Path) -> Iterator[Lock | None]:
    """The lock of a folder that no living process holds, or None.

    If the system has no locks (`Lock.is_real`), it is that of any folder.
    """
    lock = None
    with suppress(InputError, FileNotFoundError):
        lock = Lock(folder, shared=True)
    try:
        yield lock if lock is not None and (lock.become_only() or not lock.is_real) else None
    finally:
        if lock is not None:
            lock.close()


def clear(path: Path) -> None:
    """Remove the leftovers of dead processes beside a store."""
    for leaving in _beside(path, _LEAVING):
        making = leaving.with_suffix(_MAKING)
        if making.exists():
            # Only remove stores that have been replaced: another one has their name.
            log.warning("%s: holds the store that was being replaced; move it away", leaving)
            continue
        with suppress(OSError), _claimed(leaving) as lock:
            if lock is not None and lock.is_real and os.path.lexists(path):
                leaving.rename(making)
    for making in _beside(path, _MAKING):
        if making.with_suffix(_LEAVING).exists():
            continue
        with suppress(OSError), _claimed(making) as lock:
            if lock is not None and lock.is_real:
                shutil.rmtree(making, ignore_errors=True)
