"""One writer at a time, as long as it lives: the system lets go of a dead one's lock."""

from __future__ import annotations

import logging
import os
import socket
from pathlib import Path

from simulator.checks import InputError

try:
    import fcntl
except ImportError:  # where the system has none of these locks
    fcntl = None  # type: ignore[assignment]

__all__ = ["LOCK", "Lock"]

log = logging.getLogger(__name__)

LOCK = ".lock"


class Lock:
    """The right to write to a store, until it is closed.

    Parameters
    ----------
    folder : path
        The store.
    shared : bool
        Beside others that share it: shards, which write disjoint chunks.

    Raises
    ------
    InputError
        While another process has it.
    OSError
        For a folder that cannot be written to.
    """

    def __init__(self, folder: Path, *, shared: bool = False) -> None:
        self._file = (folder / LOCK).open("a+")
        if fcntl is None:
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_NB | (fcntl.LOCK_SH if shared else fcntl.LOCK_EX))
        except BlockingIOError:
            self._file.seek(0)
            holder = self._file.read(200).strip() or "other shards"
            self._file.close()
            raise InputError(
                "output", folder, f"is being written by {holder}; wait for it, or name another"
            ) from None
        except OSError as error:
            log.warning("%s: no lock here (%s); let one process write at a time", folder, error)
        if not os.path.samestat(os.fstat(self._file.fileno()), (folder / LOCK).stat()):
            self._file.close()
            raise InputError("output", folder, "was replaced just now; try again")
        self._file.truncate(0)
        if not shared:
            self._file.write(f"process {os.getpid()} on {socket.gethostname()}")
        self._file.flush()

    def close(self) -> None:
        """Let go, and leave no name behind."""
        if not self._file.closed:
            self._file.truncate(0)
            self._file.close()
