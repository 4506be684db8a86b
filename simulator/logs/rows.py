"""What a reader of any format hands on: columns of numbers, and where in the file each row is."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from simulator.checks import InputError

__all__ = ["MISSING", "MOST_ROWS", "Column", "Rows", "check_length", "number", "part"]

# What is written where nothing was measured: Keras writes NA, Python None, JSON null.
MISSING = frozenset({"", "na", "n/a", "none", "null"})
MOST_ROWS = 20_000_000


Values = TypeVar("Values", bound=np.generic)


def part(values: NDArray[Values], rows: NDArray[np.int64]) -> NDArray[Values]:
    """The entries of an array at rising indices; itself, not a copy, where those are all."""
    return values if len(rows) == len(values) else values[rows]


@dataclass
class Column:
    """Numbers over rows; ``given`` is False, and the number NaN, where nothing was measured."""

    values: NDArray[np.float64]
    given: NDArray[np.bool_]

    def take(self, rows: NDArray[np.int64]) -> Column:
        """These rows of it."""
        return Column(part(self.values, rows), part(self.given, rows))


@dataclass
class Rows:
    """The rows of a log in the order of the file.

    Attributes
    ----------
    path : path
    names : list of str
        All columns, those that were not read too.
    columns : dict of Column, each (rows,)
        Those that may hold a quantity, by name.
    lines : array of int, shape (rows,)
        Where each row is.
    place : str
        What ``lines`` count: "line", or "entry" of a JSON document.
    pieces : list of int
        Rows before which a header stands again: a run that was resumed.
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
        """Where a row is."""
        return f"{self.place} {self.lines[row]}"

    def shown(self, column: str, row: int) -> str:
        """A number of a column, for a sentence."""
        found = self.columns[column]
        return f"{found.values[row]:.6g}" if found.given[row] else "nothing"

    def error(self, row: int, what: str) -> InputError:
        """An error that names the place of a row."""
        return InputError("source", self.path, f"{self.at(row)} {what}")


def check_length(path: Path, rows: int) -> None:
    """Refuse a log of more rows than memory is meant for."""
    if rows > MOST_ROWS:
        raise InputError("source", path, f"has more than {MOST_ROWS} rows; log every n-th step")


def number(text: str) -> float:
    """A number, or NaN where nothing was measured.

    Raises
    ------
    ValueError
        For what is neither; Python's own ``1_000`` is not a number of a log.
    """
    if text.lower() in MISSING:
        return float("nan")
    if "_" in text or not text.isascii():
        raise ValueError(text)
    return float(text)
