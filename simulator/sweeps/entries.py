"""What a store's folder holds: folders and regular files, and nothing that leads out of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from simulator.checks import InputError
from simulator.files import kind

__all__ = ["check_entries", "remove_partial_files"]

# What Zarr calls a file while it writes it.
_PARTIAL = ".partial"


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    """All of a folder, to any depth; no link is followed. Another process may remove some."""
    waiting: list[str | Path] = [folder]
    while waiting:
        with suppress(FileNotFoundError), os.scandir(waiting.pop()) as found:
            for entry in found:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                yield entry


def check_entries(path: Path, option: str) -> None:
    """Refuse a store that holds a link, a pipe or the like: it may lead to files of others.

    Raises
    ------
    InputError
    """
    for entry in _entries(path):
        if not (entry.is_file(follow_symlinks=False) or entry.is_dir(follow_symlinks=False)):
            inside = os.path.relpath(entry.path, path)
            with suppress(FileNotFoundError):
                what = kind(entry.stat(follow_symlinks=False).st_mode)
                raise InputError(option, path, f"holds {what}, {inside}; remove it")


def remove_partial_files(path: Path) -> None:
    """Remove what dead writers left; none may be alive."""
    for entry in _entries(path):
        if entry.name.endswith(_PARTIAL) and entry.is_file(follow_symlinks=False):
            with suppress(OSError):
                Path(entry.path).unlink()
