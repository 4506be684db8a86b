"""Read a table with any of the usual separators, with or without a header.

NumPy reads blocks that hold only numbers. Other blocks are read cell by cell, to the same values
(``tests/test_log_refusals.py`` compares the two).
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from simulator.checks import InputError, printable
from simulator.logs.header import COMMENT, Header, header_of, is_comment, split, uncommented
from simulator.logs.names import SKIPPED, Wanted, candidates, mentioned, quantity
from simulator.logs.numbers import filled, is_regular, numbers
from simulator.logs.rows import MISSING, Column, Rows, check_length, number
from simulator.logs.text import Block

__all__ = ["read_table"]

# The largest number of columns with known names.
_MOST_CANDIDATES = 16


def read_table(path: Path, blocks: Iterator[Block], columns: Wanted) -> Rows:
    """Read a table, one row a line.

    Parameters
    ----------
    path : path
    blocks : iterator of Block
        The blocks of lines of the file.
    columns : Wanted

    Raises
    ------
    InputError
        If a line cannot be read; the message gives its number.
    """
    first = next(blocks, None)
    if first is None or not first.text.strip():
        raise InputError("source", path, "is empty")
    header = header_of(path, first.text)
    if columns.in_order:
        if len(columns.in_order) > len(header.names):
            remedy = f"{path} has {len(header.names)} columns"
            raise InputError("columns", ",".join(columns.in_order), remedy)
        rest = len(header.names) - len(columns.in_order)
        header = header._replace(names=[*columns.in_order, *[SKIPPED] * rest])
    elif not header.fields:
        raise InputError("source", path, "has no header; name its columns with --columns")
    groups = candidates(path, header.names, columns.chosen)
    read = [column for several in groups.values() for group in several for column in group]
    if len(read) > _MOST_CANDIDATES:
        remedy = f"has too many columns of known names: {mentioned(read)}; choose with --columns"
        raise InputError("source", path, remedy)
    for column in read:
        if header.names.count(column) > 1:
            remedy = f"its header has '{printable(column)}' twice; rename one"
            raise InputError("source", path, remedy)
    reader = _Reader(path, header, read)
    body = first.text.split("\n", header.above)
    if len(body) > header.above and body[-1]:
        reader.read(Block(1 + header.above, first.ends - header.above, body[-1]))
    for block in blocks:
        reader.read(block)
    return reader.rows()


class _Reader:
    """Columns that grow block by block."""

    def __init__(self, path: Path, header: Header, read: Sequence[str]) -> None:
        self._path, self._header, self._names = path, header, list(read)
        self._places = [header.names.index(column) for column in read]
        self._values: list[list[np.ndarray]] = [[] for _ in read]
        self._given: list[list[np.ndarray]] = [[] for _ in read]
        self._lines: list[np.ndarray] = []
        self._count = 0
        self._pieces: list[int] = []
        # The decimal mark, after the first number with one.
        self._mark = ""
        self._unfinished = 0

    def rows(self) -> Rows:
        """The rows of all blocks."""
        notes = ["Its numbers have decimal commas."] if self._mark == "," else []
        if self._unfinished:
            notes.append(f"The last line ({self._unfinished}) is incomplete and left out.")
        columns = {
            name: Column(_joined(values, float), _joined(given, bool))
            for name, values, given in zip(self._names, self._values, self._given, strict=True)
        }
        names = [name for name in self._header.names if name != SKIPPED]
        lines = _joined(self._lines, np.int64)
        return Rows(self._path, names, columns, lines, pieces=self._pieces, notes=notes)

    def read(self, block: Block) -> None:
        """Take the rows of a block."""
        if not self._read_numbers(block):
            self._read_cells(block)
        check_length(self._path, self._count)

    def _read_numbers(self, block: Block) -> bool:
        """Read a block that holds only numbers, fast; False if it holds anything else."""
        text, separator = block.text, self._header.separator
        if not text.isascii() or COMMENT in text:
            return False
        mark = "." if "." in text else ""
        if separator != "," and "," in text:
            if mark:
                return False
            text, mark = text.replace(",", "."), ","
        if mark and self._mark not in ("", mark):
            return False
        rows = block.ends + (not text.endswith("\n"))
        text, gaps = filled(text, separator)
        places = self._places
        table = numbers(text, separator, None)
        if table is not None and table.shape == (rows, len(self._header.names)):
            self._mark = self._mark or mark
            table = table[:, places]
        else:
            # Other columns may hold text.
            if mark == "," or not is_regular(text, separator, len(self._header.names)):
                return False
            table = numbers(text, separator, places)
            if table is None or table.shape != (rows, len(places)):
                return False
        given = ~np.isnan(table) if gaps else np.ones_like(table, dtype=bool)
        for at, (values, known) in enumerate(zip(self._values, self._given, strict=True)):
            values.append(table[:, at].copy())
            known.append(given[:, at].copy())
        self._lines.append(np.arange(block.first, block.first + rows))
        self._count += rows
        return True

    def _read_cells(self, block: Block) -> None:
        """Read a block field by field."""
        lines = block.text.split("\n")
        finished = lines[-1] == ""
        values: list[list[float]] = [[] for _ in self._names]
        given: list[list[bool]] = [[] for _ in self._names]
        rows = []
        for at, line in enumerate(lines):
            here = block.first + at
            fields = self._fields(here, line, may_be_cut=not finished and at == len(lines) - 1)
            if not fields:
                continue
            for place, column, known in zip(self._places, values, given, strict=True):
                cell = fields[place]
                column.append(self._number(here, place, cell))
                known.append(cell.lower() not in MISSING)
            rows.append(here)
        for column, kept in zip(values, self._values, strict=True):
            kept.append(np.array(column))
        for known, kept in zip(given, self._given, strict=True):
            kept.append(np.array(known, dtype=bool))
        self._lines.append(np.array(rows, dtype=np.int64))

    def _fields(self, here: int, line: str, *, may_be_cut: bool) -> list[str]:
        """The fields of a row; empty if the line is not a row."""
        if not line.strip():
            return []
        header = self._header.fields
        if is_comment(line):
            # A comment may repeat the header, with any separator.
            if header and re.split(r"[\s,;|]+", uncommented(line)) == header:
                self._pieces.append(self._count)
            return []
        try:
            fields = split(line, self._header.separator)
        except csv.Error as error:
            if may_be_cut:
                self._unfinished = here
                return []
            raise self._refusal(here, f"cannot be split into fields: {error}") from None
        if header and fields == header:
            self._pieces.append(self._count)
            return []
        width = len(self._header.names)
        if len(fields) > width and not any(fields[width:]):
            fields = fields[:width]
        if len(fields) < width and may_be_cut:
            self._unfinished = here
            return []
        if len(fields) != width:
            hint = ""
            if sum(quantity(field) is not None for field in fields) > 1:
                hint = "; put a table with other columns into a file of its own"
            elif len(fields) > width and self._header.separator == ",":
                hint = "; separate fields by semicolons if commas are decimal"
            many = f"{len(fields)} field{'s' * (len(fields) != 1)}"
            raise self._refusal(here, f"has {many}, not {width}{hint}")
        self._count += 1
        return fields

    def _number(self, here: int, place: int, cell: str) -> float:
        marks = [mark for mark in ",." if mark in cell]
        if len(marks) > 1:
            what = (
                f"has '{printable(cell, 40)}', with a comma and a point; keep only the decimal one"
            )
            raise self._refusal(here, what)
        if marks:
            self._mark = self._mark or marks[0]
            if marks[0] != self._mark:
                kind = {",": "decimal commas", ".": "decimal points"}[self._mark]
                what = f"has '{printable(cell, 40)}' after numbers with {kind}; use one of the two"
                raise self._refusal(here, what)
        try:
            return number(cell.replace(",", "."))
        except ValueError:
            name = self._header.names[place]
            what = f"has '{printable(cell, 40)}' in column '{printable(name, 40)}'; give numbers"
            raise self._refusal(here, what) from None

    def _refusal(self, here: int, what: str) -> InputError:
        return InputError("source", self._path, f"line {here} {what}")


def _joined(parts: list[np.ndarray], kind: type) -> np.ndarray:
    return np.concatenate(parts) if parts else np.empty(0, dtype=kind)
