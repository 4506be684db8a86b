"""Reading JSON lines: an object on each line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from simulator.checks import InputError
from simulator.logs.names import Wanted
from simulator.logs.records import Records
from simulator.logs.rows import Rows
from simulator.logs.text import Block

__all__ = ["read_json_lines"]


def read_json_lines(path: Path, blocks: Iterator[Block], columns: Wanted) -> Rows:
    """Read JSON lines, one row a line; ``NaN`` and ``Infinity`` are numbers, as Python writes them.

    The parameters are those of `simulator.logs.table.read_table`.

    Raises
    ------
    InputError
        If a line cannot be read; the message gives its number.
    """
    records, unfinished = Records(path, columns, "line"), 0
    for block in blocks:
        lines = block.text.split("\n")
        for at, line in enumerate(lines):
            if not line.strip():
                continue
            here, last = block.first + at, at == len(lines) - 1
            try:
                record = json.loads(line)
            except RecursionError:
                raise InputError("source", path, f"line {here} is nested too deeply") from None
            except ValueError as error:
                if last:  # incomplete: its writer was stopped
                    unfinished = here
                    continue
                reason = str(error).split(":")[0]
                raise InputError("source", path, f"line {here} is not JSON: {reason}") from None
            records.add(here, record)
    rows = records.rows()
    if unfinished:
        rows.notes.append(f"The last line ({unfinished}) is incomplete and left out.")
    return rows
