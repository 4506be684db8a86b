"""Read lines of numbers with NumPy, to the same values as Python's ``float``."""

from __future__ import annotations

import warnings
from io import StringIO

import numpy as np
from numpy.typing import NDArray

from simulator.logs.header import SPACES

__all__ = ["filled", "is_regular", "numbers"]


def filled(text: str, separator: str) -> tuple[str, bool]:
    """The text with ``nan`` in its empty fields, and whether there are any.

    A text that contains ``nan`` already is returned unchanged.
    """
    if separator == SPACES or "\n\n" in text:
        return text, False
    twice, end, begin = separator * 2, f"{separator}\n", f"\n{separator}"
    edges = text.startswith(separator) or text.endswith(separator)
    if not (edges or twice in text or end in text or begin in text) or "nan" in text.lower():
        return text, False
    text = f"\n{text}" if text.endswith("\n") else f"\n{text}\n"
    for _ in range(2):  # one pass fills every other of adjacent empty fields
        text = text.replace(twice, f"{separator}nan{separator}")
    return text.replace(end, f"{separator}nan\n").replace(begin, f"\nnan{separator}")[1:], True


def is_regular(text: str, separator: str, width: int) -> bool:
    """Whether each line has ``width`` fields, none of them quoted."""
    if separator == SPACES or '"' in text:
        return False
    characters = np.frombuffer(text.encode(), dtype=np.uint8)
    found = characters[(characters == ord(separator)) | (characters == ord("\n"))] == ord("\n")
    if not text.endswith("\n"):
        found = np.append(found, True)
    if len(found) % width:
        return False
    lines = found.reshape(-1, width)
    return bool(lines[:, -1].all() and not lines[:, :-1].any())


def numbers(text: str, separator: str, places: list[int] | None) -> NDArray[np.float64] | None:
    """The columns ``places``, or all; None if NumPy cannot read them as numbers."""
    quoted = '"' in text
    if quoted and not _is_well_quoted(text, separator):
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # NumPy warns about empty lines
        try:
            return np.loadtxt(
                StringIO(text), delimiter=None if separator == SPACES else separator,
                comments=None, ndmin=2, usecols=places, quotechar='"' if quoted else None,
            )  # fmt: skip
        except (ValueError, UserWarning):
            return None


def _is_well_quoted(text: str, separator: str) -> bool:
    """Whether quotes are around whole fields only: NumPy reads ``"1"2`` as 12."""
    begins = text.count(f'{separator}"') + text.count('\n"') + text.startswith('"')
    ends = text.count(f'"{separator}') + text.count('"\n') + text.endswith('"')
    return begins == ends and text.count('"') == 2 * begins
