"""Curves from a table that another program wrote."""

from __future__ import annotations

import csv
import math
import os
from array import array
from collections.abc import Iterator, Sequence
from io import TextIOWrapper
from itertools import chain
from pathlib import Path
from typing import TextIO

import numpy as np
from numpy.typing import NDArray

from simulator.checks import InputError, one_of, printable
from simulator.files import open_file
from simulator.limits import StabilityLimit
from simulator.trajectory import Trajectory

__all__ = ["COLUMNS", "read_curves"]

COLUMNS = ("step", "loss", "sharpness", "preconditioned_sharpness", "eta")
_SKIPPED = "-"
# A log of a million steps has some 50 megabytes.
_MOST_BYTES = 200_000_000
_LONGEST = 1_000_000
_LARGEST_STEP = 2.0**53
# Beyond it, ratios and the margins of a figure overflow: as good as infinite.
_LARGEST = 1e300


def read_curves(
    path: Path, limit: StabilityLimit, columns: Sequence[str] | None = None
) -> Trajectory:
    """Read a csv, one row for each logged step.

    Parameters
    ----------
    path : path
        Fields between commas. An empty field was not measured; a loss of ``nan`` or ``inf`` is a
        divergence, and a row without a loss is left out.
    limit : StabilityLimit
        Of the optimizer that made it.
    columns : sequence of str, optional
        What each column is, in order, of ``COLUMNS``, or ``-`` for one to skip; the first line may
        then be a header or not. By default the header says so, and other names are skipped.

    Raises
    ------
    InputError
        For a file that is no such table, has no loss, or whose steps do not rise.
    """
    found = _columns(path, columns)
    rows = len(found["loss"])
    if not rows:
        raise InputError("source", path, "has no row with a loss")
    missing = np.full(rows, np.nan)
    step = found.get("step", np.arange(rows, dtype=float))
    if not (step[1:] > step[:-1]).all() or not (np.abs(step) < _LARGEST_STEP).all():
        raise InputError("columns", "step", f"does not rise from row to row in {path}")
    return Trajectory(
        step=step,
        loss=found["loss"],
        eta=found.get("eta", missing),
        sharpness=found.get("sharpness", missing),
        preconditioned_sharpness=found.get("preconditioned_sharpness", missing),
        limit=limit,
    )


def _columns(path: Path, wanted: Sequence[str] | None) -> dict[str, NDArray[np.float64]]:
    """The named columns, as numbers; nothing else of the file is kept."""
    try:
        with (
            open_file("source", path) as content,
            TextIOWrapper(content, newline="", encoding="utf-8-sig") as file,
        ):
            if os.fstat(content.fileno()).st_size > _MOST_BYTES:
                remedy = f"is larger than {_MOST_BYTES:.0e} bytes; log less"
                raise InputError("source", path, remedy)
            return _read(path, _lines(path, file), wanted)
    except OSError as error:
        raise InputError("source", path, f"cannot be read: {error.strerror}") from None
    except (csv.Error, UnicodeDecodeError) as error:
        raise InputError("source", path, f"is no csv: {error}") from None


def _lines(path: Path, file: TextIO) -> Iterator[list[str]]:
    """The fields of each line that has any."""
    while line := file.readline(_LONGEST + 1):
        if len(line) > _LONGEST:
            raise InputError("source", path, f"has a line longer than {_LONGEST} characters")
        # One line at a time: a quote that is never closed must not gather the whole file.
        for fields in csv.reader([line]):
            if fields:
                yield [field.strip() for field in fields]


def _read(
    path: Path, lines: Iterator[list[str]], wanted: Sequence[str] | None
) -> dict[str, NDArray[np.float64]]:
    first = next(lines, None)
    if first is None:
        raise InputError("source", path, "is empty")
    headed = any(cell and not _is_number(cell) for cell in first)
    if wanted is None:
        if not headed:
            raise InputError("source", path, "has no header; name its columns with --columns")
        names = [name if name in COLUMNS else _SKIPPED for name in first]
    else:
        names = [name if name == _SKIPPED else one_of("columns", name, COLUMNS) for name in wanted]
        if len(names) > len(first):
            raise InputError("columns", ",".join(names), f"{path} has {len(first)} columns")
    twice = {name for name in COLUMNS if names.count(name) > 1}
    if twice:
        raise InputError("columns", min(twice), "is there twice; name it once")
    if "loss" not in names:
        named = ",".join(name for name in names if name != _SKIPPED)
        raise InputError("columns", named or "none", "name one of them loss")
    places = {name: at for at, name in enumerate(names) if name != _SKIPPED}
    columns = {name: array("d") for name in places}
    for line in lines if headed else chain([first], lines):
        if len(line) < len(names):
            raise InputError("source", path, f"has a line of {len(line)} fields, not {len(names)}")
        if line[places["loss"]]:
            for name, at in places.items():
                columns[name].append(_number(path, name, line[at]))
    return {name: np.array(values) for name, values in columns.items()}


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _number(path: Path, name: str, cell: str) -> float:
    try:
        number = float(cell) if cell else math.nan
        return math.copysign(math.inf, number) if abs(number) > _LARGEST else number
    except ValueError:
        remedy = f"has {printable(cell)!r} in {path}; give numbers"
        raise InputError("columns", name, remedy) from None
