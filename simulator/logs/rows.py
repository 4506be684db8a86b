"""The result of reading a file: columns of numbers, and the place of each row in the file."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from simulator.checks import InputError

__all__ = ["MISSING", "MOST_ROWS", "Column", "Rows", "check_length", "number", "part"]

# Missing values: Keras writes NA, Python None, JSON null.
MISSING = frozenset({"", "na", "n/a", "none", "null"})
MOST_ROWS = 20_000_000


Values = TypeVar("Values", bound=np.generic)


def part(values: NDArray[Values], rows: NDArray[np.int64]) -> NDArray[Values]:
    """The entries of an array at increasing indices; the array itself if these are all."""
    return values if len(rows) == len(values) else values[rows]


@dataclass
class Column:
    """Numbers over rows; where nothing was measured, ``given`` is False and the number NaN."""

    values: NDArray[np.float64]
    given: NDArray[np.bool_]

    def take(self, rows: NDArray[np.int64]) -> Column:
        """The column at these rows."""
        return Column(part(self.values, rows), part(self.given, rows))


@dataclass
class Rows:
    """The rows of a log in the order of the file.

    Attributes
    ----------
    path : path
    names : list of str
        All columns, including those that were not read.
    columns : dict of Column, each (rows,)
        The columns that may hold a quantity, by name.
    lines : array of int, shape (rows,)
        The line of each row.
    place : str
        What ``lines`` count: "line", or "entry" of a JSON document.
    pieces : list of int
        Rows with a repeated header before them: the run was resumed there.
    notes : list of str
        Sentences on how the file was read.
    """

    path: Path
    names: list[str]
    columns: dict[str, Column]
    lines: NDArray[np.int64]
    place: str = "line"
    pieces: list[int] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.lines)

    def at(self, row: int) -> str:
        """The place of a row in the file."""
        return f"{self.place} {self.lines[row]}"

    def shown(self, column: str, row: int) -> str:
        """A number of a column as text."""
        found = self.columns[column]
        return f"{found.values[row]:.6g}" if found.given[row] else "nothing"

    def error(self, row: int, what: str) -> InputError:
        """An error that names the place of a row in the file."""
        return InputError("source", self.path, f"{self.at(row)} {what}")


def check_length(path: Path, rows: int) -> None:
    """Raise InputError for a log with more than ``MOST_ROWS`` rows."""
    if rows > MOST_ROWS:
        raise InputError("source", path, f"has more than {MOST_ROWS} rows; log every n-th step")


def number(text: str) -> float:
    """A number, or NaN where nothing was measured.

    Raises
    ------
    ValueError
        For any other text, including ``1_000``.
    """
    if text.lower() in MISSING:
        return float("nan")
    if "_" in text or not text.isascii():
        raise ValueError(text)
    return float(text)
