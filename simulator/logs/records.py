"""Collect columns from records: one dictionary per call of a logger."""

from __future__ import annotations

from array import array
from pathlib import Path

import numpy as np

from simulator.checks import InputError, printable
from simulator.logs.names import Wanted, mentioned, quantity
from simulator.logs.rows import MISSING, Column, Rows, check_length, number

__all__ = ["Records"]

# Keys beyond _MOST_NAMES are not remembered by name; more than _MOST_CANDIDATES may not be read.
_MOST_NAMES = 1000
_MOST_CANDIDATES = 16
# The trainer of Hugging Face ends with a record of means over the run.
_SUMMARY = "train_runtime"


class Records:
    """The numbers of each quantity, gathered record by record.

    Parameters
    ----------
    path : path
    columns : Wanted
    place : str
        What a record is called in messages: "line" or "entry".
    """

    def __init__(self, path: Path, columns: Wanted, place: str) -> None:
        if columns.in_order:
            remedy = "columns of JSON have no order; give QUANTITY=COLUMN, as in loss=train_loss"
            raise InputError("columns", ",".join(columns.in_order), remedy)
        self._path, self._place = path, place
        self._chosen = {column.lower() for column in columns.by_name.values()}
        self._names: dict[str, bool] = {}
        self._columns: dict[str, tuple[array[int], array[float]]] = {}
        self._lines = array("q")
        self._notes: list[str] = []

    def add(self, line: int, record: object) -> None:
        """Add the record on this line."""
        if not isinstance(record, dict):
            raise InputError("source", self._path, f"{self._place} {line} is not a JSON object")
        if _SUMMARY in record:
            self._notes.append(f"The summary of the run in {self._place} {line} is left out.")
            return
        row = len(self._lines)
        self._lines.append(line)
        check_length(self._path, row)
        for name, value in record.items():
            if name not in self._names:
                self._meet(name)
            if self._names.get(name) and value is not None:
                self._take(row, name, value)

    def rows(self) -> Rows:
        """The rows of all records."""
        count, columns = len(self._lines), {}
        for name, (rows, numbers) in self._columns.items():
            values, given = np.full(count, np.nan), np.zeros(count, dtype=bool)
            at = np.array(rows, dtype=np.int64)
            values[at], given[at] = np.array(numbers, dtype=float), True
            columns[name] = Column(values, given)
        lines = np.array(self._lines, dtype=np.int64)
        names = list(self._names)
        return Rows(self._path, names, columns, lines, self._place, notes=self._notes)

    def _meet(self, name: str) -> None:
        """Decide whether to read a new key."""
        known = quantity(name) is not None or name.strip().lower() in self._chosen
        if known and sum(self._names.values()) >= _MOST_CANDIDATES:
            read = [name for name, needed in self._names.items() if needed]
            remedy = f"has too many keys of known names: {mentioned(read)}; rename some"
            raise InputError("source", self._path, remedy)
        if known or len(self._names) < _MOST_NAMES:
            self._names[name] = known

    def _take(self, row: int, name: str, value: object) -> None:
        if isinstance(value, str) and value.strip().lower() in MISSING:
            return
        rows, numbers = self._columns.setdefault(name, (array("q"), array("d")))
        try:
            numbers.append(_number(value))
        except ValueError:
            what = f"has {printable(value, 40)} under '{printable(name, 40)}'; give a number"
            remedy = f"{self._place} {self._lines[row]} {what}"
            raise InputError("source", self._path, remedy) from None
        rows.append(row)


def _number(value: object) -> float:
    # A scheduler with several parameter groups logs a list: read it if all entries are equal.
    if isinstance(value, list) and value and all(entry == value[0] for entry in value):
        value = value[0]
    if isinstance(value, str):
        return number(value.strip())
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(value)
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")
