"""Check that a store's folder holds only folders and regular files, and no links."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from simulator.checks import InputError
from simulator.files import kind

__all__ = ["check_entries", "remove_partial_files"]

# The name of a file while Zarr writes it.
_PARTIAL = ".partial"


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    """All entries of a folder, recursively, without following links; some may vanish meanwhile."""
    waiting: list[str | Path] = [folder]
    while waiting:
        with suppress(FileNotFoundError), os.scandir(waiting.pop()) as found:
            for entry in found:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                yield entry


def check_entries(path: Path, option: str) -> None:
    """Raise InputError for a store with a link, a pipe or the like, which may lead elsewhere.

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
    """Remove the partial files of dead writers; no writer may be alive."""
    for entry in _entries(path):
        if entry.name.endswith(_PARTIAL) and entry.is_file(follow_symlinks=False):
            with suppress(OSError):
                Path(entry.path).unlink()
