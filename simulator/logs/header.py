"""Find the header and the separator of a table in its first lines."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import NamedTuple

from simulator.checks import InputError
from simulator.logs.names import quantity
from simulator.logs.rows import number

__all__ = ["COMMENT", "SPACES", "Header", "header_of", "is_comment", "split", "uncommented"]

_SEPARATORS = ("\t", ";", "|", ",")
SPACES = " "
COMMENT = "#"
# Number of lines in which the header is searched.
_TOP = 1000


class Header(NamedTuple):
    """The ``names`` of the columns, and the ``fields`` of the header line (empty without one).

    The rows start ``above`` lines after the beginning of the file.
    """

    names: list[str]
    fields: list[str]
    separator: str
    above: int


def header_of(path: Path, text: str) -> Header:
    """Find the header and the separator in the first lines."""
    top = text.split("\n", _TOP)[:_TOP]
    lines = [(at, line) for at, line in enumerate(top) if line.strip()]
    data = [at for at, (_, line) in enumerate(lines) if not is_comment(line)]
    at = data[0] if data else len(lines)
    comments = [line for _, line in lines[:at] if is_comment(line)]
    first, second = ([line for _, line in lines[at : at + 2]] + ["", ""])[:2]
    begin = lines[at][0] if data else lines[-1][0] + 1
    separator = _separator(first, "" if is_comment(second) else second)
    try:
        fields = split(first, separator)
    except csv.Error as error:
        remedy = f"line {begin + 1} cannot be split into fields: {error}"
        raise InputError("source", path, remedy) from None
    if not all(_is_number(field, separator) for field in fields):
        return Header(_named(path, fields), fields, separator, begin + 1)
    # np.savetxt writes the header as a comment, with any separator.
    for comment in reversed(comments):
        bare = uncommented(comment)
        for between in (separator, *_SEPARATORS, SPACES):
            names = [] if '"' in bare else split(bare, between)
            if (len(names) == len(fields) or not data) and any(map(quantity, names)):
                return Header(_named(path, names), names, separator, begin)
    return Header([""] * len(fields), [], separator, begin)


def is_comment(line: str) -> bool:
    """Whether a line is a comment."""
    return line.lstrip().startswith(COMMENT)


def uncommented(line: str) -> str:
    """The text of a comment."""
    return line.strip().lstrip(COMMENT).strip()


def _named(path: Path, fields: list[str]) -> list[str]:
    """The names of the columns; TensorBoard names its scalar in the name of the file."""
    tag = path.stem.rpartition("tag-")[2] if "tag-" in path.stem else ""
    return [tag if tag and field.lower() == "value" else field for field in fields]


def _separator(first: str, second: str) -> str:
    """The separator that splits the first line into numbers, or both lines alike."""
    bare = [re.sub(r'"[^"]*"', "x", line).replace('"', "") for line in (first, second)]
    present = [separator for separator in _SEPARATORS if separator in bare[0]]
    for separator in (*present, SPACES):
        fields = [split(line, separator) for line in bare]
        numbers = all(_is_number(field, separator) or field == "x" for field in fields[0])
        if len(fields[0]) > 1 and (
            numbers or (second and len(fields[0]) == len(fields[1]) and separator in present)
        ):
            return separator
    if present:
        return present[0]
    return SPACES if second and len(bare[0].split()) == len(bare[1].split()) > 1 else ","


def split(line: str, separator: str) -> list[str]:
    """The fields of a line, without the quotes and spaces around them."""
    if '"' in line:
        between = " " if separator == SPACES else separator
        fields = next(csv.reader([line], delimiter=between, skipinitialspace=True, strict=True), [])
    else:
        fields = line.split(None if separator == SPACES else separator)
    return [field.strip() for field in fields]


def _is_number(field: str, separator: str) -> bool:
    try:
        number(field if separator == "," else field.replace(",", "."))
    except ValueError:
        return False
    return True
