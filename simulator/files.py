"""Open the files that options name; only regular files, since opening a pipe may block."""

from __future__ import annotations

import os
import stat
import uuid
from pathlib import Path
from typing import BinaryIO

from simulator.checks import InputError

__all__ = ["check_target", "kind", "open_file", "replace_file", "scripts", "write_whole"]

_KINDS = {
    stat.S_IFREG: "a file", stat.S_IFDIR: "a folder", stat.S_IFLNK: "a symbolic link",
    stat.S_IFIFO: "a named pipe", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}  # fmt: skip


def kind(mode: int) -> str:
    """The kind of a path with this ``st_mode``: a file, a folder, a named pipe, ..."""
    return _KINDS.get(stat.S_IFMT(mode), "a special file")


def open_file(option: str, path: Path) -> BinaryIO:
    """Open a regular file for reading.

    Raises
    ------
    InputError
        If the path is a folder, a named pipe, a socket or a device.
    OSError
        If the file is missing or cannot be read.
    """
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        raise InputError(option, path, f"is {kind(mode)}; name a file")
    return path.open("rb")


def check_target(option: str, path: Path) -> None:
    """Raise InputError if no file can be written at a path; nothing is opened.

    Raises
    ------
    InputError
        If the path is not a regular file, or its folder is missing.
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


def replace_file(path: Path, content: bytes) -> None:
    """Write a file under another name and rename it, so that it is always complete."""
    beside = path.with_name(f"{path.name}.{uuid.uuid4().hex}.partial")
    try:
        beside.write_bytes(content)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def write_whole(option: str, path: Path, content: bytes) -> None:
    """Write or replace the file that an option names, in one step. A link keeps its place.

    Raises
    ------
    InputError
        If it cannot be written.
    """
    check_target(option, path)
    try:
        replace_file(Path(os.path.realpath(path)), content)
    except OSError as error:
        raise InputError(option, path, f"cannot be written: {error.strerror or error}") from None


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
