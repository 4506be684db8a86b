"""Read a log file as text, in blocks of whole lines."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import NamedTuple, TextIO

from simulator.checks import InputError
from simulator.files import open_file

__all__ = ["BLOCK", "Block", "blocks", "open_text"]

# Ten million rows of four columns with 17 digits take about 700 MB.
_MOST_BYTES = 2_000_000_000
_LONGEST = 1_000_000
BLOCK = 1 << 20


class Block(NamedTuple):
    """Whole lines, the number of the first, and the number of line ends."""

    first: int
    ends: int
    text: str


@contextmanager
def open_text(path: Path) -> Iterator[TextIO]:
    r"""Open a log; line ends are ``\n`` and byte-order marks are gone.

    Raises
    ------
    InputError
        If the file cannot be read, is too large, or is neither UTF-8 nor UTF-16.
    """
    try:
        with open_file("source", path) as content:
            if os.fstat(content.fileno()).st_size > _MOST_BYTES:
                raise InputError(
                    "source", path, f"is larger than {_MOST_BYTES:.0e} bytes; log less"
                )
            encoding = _encoding(content.read(4))
            content.seek(0)
            with TextIOWrapper(content, newline=None, encoding=encoding) as file:
                yield file
    except OSError as error:
        raise InputError("source", path, f"cannot be read: {error.strerror}") from None
    except UnicodeError:
        raise InputError("source", path, f"{_undecoded(path)}; save it as UTF-8") from None


def _encoding(start: bytes) -> str:
    if start[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    if start[1:2] == b"\0" != start[:1]:
        return "utf-16-le"
    return "utf-16-be" if start[:1] == b"\0" != start[1:2] else "utf-8-sig"


def _undecoded(path: Path) -> str:
    """Why a file cannot be decoded, with the line if it is known."""
    with path.open("rb") as content:
        if _encoding(content.read(4)) == "utf-8-sig":
            content.seek(0)
            number = 0
            while line := content.readline(_LONGEST):
                number += 1
                try:
                    line.decode()
                except UnicodeError:
                    return f"line {number} is not text in UTF-8"
    return "is text in neither UTF-8 nor UTF-16"


def blocks(path: Path, file: TextIO, text: str) -> Iterator[Block]:
    """Yield the file in blocks of about a megabyte, starting with ``text``, its beginning."""
    first = 1
    while text:
        if not text.endswith("\n"):
            rest = file.readline(_LONGEST + 1)
            if len(rest) > _LONGEST:
                remedy = f"line {first + text.count(chr(10))} is longer than {_LONGEST} characters"
                raise InputError("source", path, remedy)
            text += rest
        ends = text.count("\n")
        yield Block(first, ends, text)
        first += ends
        text = file.read(BLOCK)
