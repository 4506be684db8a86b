"""Read training logs of other programs: tables, JSON lines, ``trainer_state.json``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from simulator.logs.account import Account
from simulator.logs.json_document import HISTORY, read_json_document
from simulator.logs.json_lines import read_json_lines
from simulator.logs.merge import Log, merge
from simulator.logs.names import QUANTITIES, wanted
from simulator.logs.rows import Rows
from simulator.logs.table import read_table
from simulator.logs.text import BLOCK, blocks, open_text

__all__ = ["QUANTITIES", "Account", "Log", "read_log"]


def read_log(path: str | Path, columns: Sequence[str] | None = None) -> Log:
    """Read a log; its beginning determines the format.

    Parameters
    ----------
    path : path
        A table with any of the usual separators, JSON lines, or a JSON list of records such as
        ``trainer_state.json`` of Hugging Face.
    columns : sequence of str, optional
        Either ``QUANTITY=COLUMN``, with a quantity of ``QUANTITIES``, for columns with other names,
        or the quantities of a table's columns in order, where ``-`` skips a column.

    Raises
    ------
    InputError
        If the file cannot be read, has no loss or is ambiguous; the message names the line.
    """
    path, named = Path(path), wanted(columns or ())
    with open_text(path) as file:
        start = file.read(BLOCK)
        kind = start.lstrip()[:1]
        rows: Rows
        if kind == "[" or (kind == "{" and not _is_lines(start)):
            rows = read_json_document(path, file, start, named)
        elif kind == "{":
            rows = read_json_lines(path, blocks(path, file, start), named)
        else:
            rows = read_table(path, blocks(path, file, start), named)
    return merge(rows, named.chosen)


def _is_lines(start: str) -> bool:
    """Whether the first line is a complete object, but not a ``trainer_state.json`` in one line."""
    try:
        first = json.loads(start.lstrip().partition("\n")[0])
    except (ValueError, RecursionError):
        return False
    return isinstance(first, dict) and HISTORY not in first
