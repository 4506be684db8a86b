"""Files that options name. Only regular files are opened: opening a pipe may wait for ever."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

from simulator.checks import InputError

__all__ = ["check_target", "kind", "open_file", "scripts"]

_KINDS = {
    stat.S_IFREG: "a file", stat.S_IFDIR: "a folder", stat.S_IFLNK: "a symbolic link",
    stat.S_IFIFO: "a named pipe", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}  # fmt: skip


def kind(mode: int) -> str:
    """What the ``st_mode`` of a path says it is: a file, a folder, a named pipe ..."""
    return _KINDS.get(stat.S_IFMT(mode), "a special file")


def open_file(option: str, path: Path) -> BinaryIO:
    """Open a regular file for reading.

    Raises
    ------
    InputError
        For a folder, a named pipe, a socket or a device.
    OSError
        For a file that is missing or cannot be read.
    """
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        raise InputError(option, path, f"is {kind(mode)}; name a file")
    return path.open("rb")


def check_target(option: str, path: Path) -> None:
    """Refuse a path at which no file can be written; nothing is opened.

    Raises
    ------
    InputError
        Where something other than a regular file is, or where the folder is missing.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        folder = Path(os.path.realpath(path)).parent
        if not folder.is_dir():
            raise InputError(option, path, f"there is no folder {folder}") from None
    except OSError as error:
        raise InputError(option, path, f"cannot be written: {error.strerror}") from None
    else:
        if not stat.S_ISREG(mode):
            raise InputError(option, path, f"is {kind(mode)}; name a file")


def scripts(installed: str, checkout: str) -> dict[str, Path]:
    """The scripts of a folder by name.

    The folder is ``installed`` in an installed package, and ``checkout`` in a checkout.
    """
    package = Path(__file__).parent
    folder = package / installed
    if not folder.is_dir():
        folder = package.parent / checkout
    return {
        path.stem.replace("_", "-"): path
        for path in sorted(folder.glob("*.py"))
        if not path.stem.startswith("_")
    }
