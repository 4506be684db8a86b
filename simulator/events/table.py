"""Curves from a table that another program wrote."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from simulator.checks import InputError, one_of
from simulator.events.curves import Curves
from simulator.limits import Limit

__all__ = ["COLUMNS", "read_curves"]

COLUMNS = ("step", "loss", "sharpness", "preconditioned_sharpness", "eta")
_SKIPPED = "-"
# A log of a million steps has some 50 megabytes.
_MOST_BYTES = 1_000_000_000


def read_curves(path: Path, limit: Limit, columns: Sequence[str] | None = None) -> Curves:
    """Read a csv, one row for each logged step.

    Parameters
    ----------
    path : path
        Fields between commas. An empty field was not measured; a loss of ``nan`` or ``inf`` is a
        divergence, and a row without a loss is left out.
    limit : Limit
        Of the optimizer that made it.
    columns : sequence of str, optional
        What each column is, in order, of ``COLUMNS``, or ``-`` for one to skip; the first line may
        then be a header or not. By default the header says so, and other names are skipped.

    Raises
    ------
    InputError
        For a file that is no such table, has no loss, or whose steps do not rise.
    """
    text = _cells(path, columns)
    found = {name: _numbers(path, name, cells) for name, cells in text.items()}
    if "loss" not in found:
        raise InputError("columns", ",".join(text) or "none", "name one of them loss")
    empty = np.array([not cell for cell in text["loss"]])
    found = {name: values[~empty] for name, values in found.items()}
    rows = len(found["loss"])
    if not rows:
        raise InputError("source", path, "has no row with a loss")
    missing = np.full(rows, np.nan)
    step = found.get("step", np.arange(rows, dtype=float))
    if not (np.diff(step) > 0).all() or not np.isfinite(step).all():
        raise InputError("columns", "step", f"does not rise from row to row in {path}")
    return Curves(
        step=step,
        loss=found["loss"],
        eta=found.get("eta", missing),
        sharpness=found.get("sharpness", missing),
        preconditioned_sharpness=found.get("preconditioned_sharpness", missing),
        limit=limit,
    )


def _cells(path: Path, columns: Sequence[str] | None) -> dict[str, list[str]]:
    """The named columns as text."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise InputError("source", path, f"is larger than {_MOST_BYTES:.0e} bytes; log less")
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = [[cell.strip() for cell in line] for line in csv.reader(file) if line]
    except OSError as error:
        raise InputError("source", path, f"cannot be read: {error.strerror}") from None
    except (csv.Error, UnicodeDecodeError) as error:
        raise InputError("source", path, f"is no csv: {error}") from None
    if not lines:
        raise InputError("source", path, "is empty")
    first = lines[0]
    headed = any(cell and not _is_number(cell) for cell in first)
    if columns is None:
        if not headed:
            raise InputError("source", path, "has no header; name its columns with --columns")
        names = [name if name in COLUMNS else _SKIPPED for name in first]
    else:
        names = [name if name == _SKIPPED else one_of("columns", name, COLUMNS) for name in columns]
        if len(names) > len(first):
            raise InputError("columns", ",".join(names), f"{path} has {len(first)} columns")
    twice = {name for name in names if name != _SKIPPED and names.count(name) > 1}
    if twice:
        raise InputError("columns", min(twice), "is there twice; name it once")
    body = lines[headed:]
    short = next((line for line in body if len(line) < len(names)), None)
    if short is not None:
        raise InputError("source", path, f"has a line of {len(short)} fields, not {len(names)}")
    return {name: [line[at] for line in body] for at, name in enumerate(names) if name != _SKIPPED}


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _numbers(path: Path, name: str, cells: list[str]) -> NDArray[np.float64]:
    try:
        return np.array([float(cell) if cell else np.nan for cell in cells])
    except ValueError:
        wrong = next(cell for cell in cells if cell and not _is_number(cell))
        raise InputError("columns", name, f"has {wrong!r} in {path}; give numbers") from None
