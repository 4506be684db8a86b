"""A lock for one writer at a time, which the system releases when the writer dies."""

from __future__ import annotations

import errno
import logging
import os
import socket
import stat
import time
from pathlib import Path

from simulator.checks import InputError

try:
    import fcntl
except ImportError:  # if the system has no such locks
    fcntl = None  # type: ignore[assignment]

__all__ = ["LOCK", "Lock"]

log = logging.getLogger(__name__)

LOCK = ".lock"
_HOLDER = "process "
# A shard that ends checks briefly whether it is the last one.
_PATIENCE_SECONDS = 30.0
# If the system has these flags, links are not followed and pipes do not block.
_PLAIN = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
_HAS_FOLDERS = os.open in os.supports_dir_fd


class Lock:
    """The right to write to a store, until it is closed.

    Parameters
    ----------
    folder : path
        The store.
    shared : bool
        Whether shards, which write disjoint chunks, share the lock.

    Raises
    ------
    InputError
        If another process holds it, or the lock's file is not a valid one.
    OSError
        If the folder cannot be written to.
    """

    def __init__(self, folder: Path, *, shared: bool = False) -> None:
        self._path, self._is_real = folder, fcntl is not None
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not self._take(shared=shared, may_wait=time.monotonic() < deadline):
            time.sleep(0.01)
        os.ftruncate(self._file, 0)
        if not shared:
            os.write(self._file, f"{_HOLDER}{os.getpid()} on {socket.gethostname()}".encode())

    def _take(self, *, shared: bool, may_wait: bool) -> bool:
        """Open and lock; False if it may be free in a moment."""
        self._open()
        try:
            is_ours, holder, is_here = self._try(shared), self._holder(), self.is_at(self._path)
            if is_ours and is_here:
                return True
        except BaseException:
            self._shut()
            raise
        self._shut()
        if may_wait and (not is_here or (shared and not holder)):
            return False
        if not is_here:
            raise InputError("output", self._path, "was replaced just now; try again")
        raise InputError(
            "output", self._path,
            f"is being written by {holder or 'other shards'}; wait for it, or name another",
        )  # fmt: skip

    def _open(self) -> None:
        """Open the folder and its lock without following links."""
        how = os.O_RDWR | os.O_CREAT | os.O_APPEND | _PLAIN
        self._folder, self._file = -1, -1
        try:
            if _HAS_FOLDERS:
                self._folder = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY | _PLAIN)
                self._file = os.open(LOCK, how, 0o666, dir_fd=self._folder)
            else:
                self._file = os.open(self._path / LOCK, how, 0o666)
            is_plain = stat.S_ISREG(os.fstat(self._file).st_mode)
        except OSError as error:
            self._shut()
            # Links, pipes, sockets, devices and folders give these errors.
            if error.errno not in (errno.ELOOP, errno.ENXIO, errno.ENODEV, errno.EISDIR):
                raise
            is_plain = False
        if not is_plain:
            self._shut()
            raise InputError("output", self._path, f"its {LOCK} is not a regular file; remove it")

    def _try(self, shared: bool) -> bool:
        """Take the system's lock; False if another process holds it."""
        if fcntl is None:
            return True
        try:
            fcntl.flock(self._file, fcntl.LOCK_NB | (fcntl.LOCK_SH if shared else fcntl.LOCK_EX))
        except BlockingIOError:
            return False
        except OSError as error:
            self._is_real = False
            log.warning("%s: no lock here (%s); let one process write at a time", self._path, error)
        return True

    def _holder(self) -> str:
        """The holder according to the file; files with other content are not emptied."""
        os.lseek(self._file, 0, os.SEEK_SET)
        found = os.read(self._file, 200).decode(errors="replace").strip()
        if found and not found.startswith(_HOLDER):
            raise InputError(
                "output", self._path, f"its {LOCK} belongs to another program; remove it"
            )
        return found

    @property
    def is_real(self) -> bool:
        """Whether the system has such locks for the folder."""
        return self._is_real

    @property
    def root(self) -> Path:
        """A path of the locked folder, which follows it when it is moved, if the system can."""
        held = Path(f"/proc/self/fd/{self._folder}")
        return held if held.is_dir() else self._path

    def follow(self, path: Path) -> None:
        """Use the path to which the locked folder has been renamed."""
        self._path = path

    def is_at(self, folder: Path) -> bool:
        """Whether the locked folder is the one at this path."""
        try:
            there = (folder / LOCK).lstat()
        except OSError:
            return False
        return os.path.samestat(os.fstat(self._file), there)

    def become_only(self) -> bool:
        """Whether no other process writes or can start to write.

        After False the lock may be lost: close it.
        """
        return self._is_real and self._try(shared=False) and self._is_real

    def close(self) -> None:
        """Release the lock and clear the holder's name."""
        if self._file >= 0:
            os.ftruncate(self._file, 0)
            self._shut()

    def _shut(self) -> None:
        for descriptor in (self._file, self._folder):
            if descriptor >= 0:
                os.close(descriptor)
        self._folder, self._file = -1, -1
