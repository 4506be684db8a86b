"""Reading ``trainer_state.json`` of Hugging Face, and any JSON list of objects."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TextIO

from simulator.checks import InputError
from simulator.logs.names import Wanted
from simulator.logs.records import Records
from simulator.logs.rows import Rows

__all__ = ["HISTORY", "read_json_document"]

HISTORY = "log_history"
# As Python objects a document takes up to fifty times its size.
_MOST_CHARACTERS = 20_000_000


def read_json_document(path: Path, file: TextIO, start: str, columns: Wanted) -> Rows:
    """Read the entries of ``log_history``, or of a list.

    Parameters
    ----------
    path : path
    file : text file
        Positioned after ``start``.
    start : str
        The beginning of the file.
    columns : Wanted

    Raises
    ------
    InputError
        If an entry cannot be read; the message gives its number, from 1.
    """
    text = start + file.read(_MOST_CHARACTERS + 1 - len(start))
    if len(text) > _MOST_CHARACTERS:
        remedy = f"has more than {_MOST_CHARACTERS:.0e} characters; give JSON lines"
        raise InputError("source", path, remedy)
    try:
        document = json.loads(text)
    except RecursionError:
        raise InputError("source", path, "is nested too deeply") from None
    except json.JSONDecodeError as error:
        remedy = f"line {error.lineno} is not JSON: {error.msg}"
        raise InputError("source", path, remedy) from None
    except ValueError:  # an integer with more digits than Python converts
        raise InputError("source", path, "has a number with too many digits") from None
    entries = document.get(HISTORY) if isinstance(document, dict) else document
    if not isinstance(entries, list):
        remedy = f"has no list {HISTORY}; give trainer_state.json, or a JSON object on each line"
        raise InputError("source", path, remedy)
    place = f"{HISTORY} entry" if isinstance(document, dict) else "entry"
    records = Records(path, columns, place)
    for number, entry in enumerate(entries, 1):
        records.add(number, entry)
    return records.rows()
