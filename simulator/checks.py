"""Checks of input: one sentence with the option, its value, and what to give instead."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable
from typing import Any

from simulator.nearest import did_you_mean

__all__ = [
    "InputError", "at_least", "check_batch_size", "count", "finite", "fraction",
    "nonnegative", "one_of", "positive", "printable",
]  # fmt: skip


def printable(value: object, most: int = 200) -> str:
    """A value as text for a message: one line, bounded length, safe for a terminal.

    Characters that move the cursor, end the line or change the writing direction are escaped.
    """
    try:
        text = str(value)
    except ValueError:  # Python does not print integers with thousands of digits
        text = "a number of thousands of digits"
    if len(text) > most:
        text = f"{text[: most * 2 // 3]} … {text[-most // 3 :]}"
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


class InputError(ValueError):
    """Input that cannot be used.

    Parameters
    ----------
    option : str
        Name as in Python (``eta_trgt``); the command line shows it as ``--eta-trgt``.
    value : object
        The given value.
    remedy : str
        What is wrong, and what to give instead.
    """

    def __init__(self, option: str, value: object, remedy: str) -> None:
        self.option, self.value, self.remedy = option, value, remedy
        super().__init__(self.sentence(option))

    def sentence(self, option: str) -> str:
        """The message, with this name of the option."""
        return f"{printable(option)} {printable(self.value)}: {printable(self.remedy, 1000)}"

    def __reduce__(self) -> tuple[type[InputError], tuple[str, object, str]]:
        return InputError, (self.option, self.value, self.remedy)


def _is_truth(value: object) -> bool:
    # NumPy's booleans too; NumPy is not imported here, so that the help is instant.
    return isinstance(value, bool) or getattr(getattr(value, "dtype", None), "kind", "") == "b"


def finite(option: str, value: Any, remedy: str = "give a finite number") -> float:
    """Return a finite number; texts and booleans raise InputError."""
    try:
        number = math.nan if isinstance(value, str) or _is_truth(value) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise InputError(option, value, remedy)
    return number + 0.0  # no negative zero


def at_least(option: str, value: Any, least: int, bits: int = 63) -> int:
    """Return an integer from ``least`` up to what an array of so many bits holds."""
    remedy = f"give a whole number of at least {least}"
    try:
        whole = operator.index(value)
    except TypeError:
        raise InputError(option, value, remedy) from None
    if _is_truth(value) or whole < least:
        raise InputError(option, value, remedy)
    if whole >= 2**bits:
        raise InputError(option, value, f"give a whole number from {least} to 2^{bits} - 1")
    return whole


def count(option: str, value: Any, least: int) -> int:
    """Return a number of updates, samples or units from ``least`` on, exact as a float."""
    return at_least(option, value, least, bits=53)


def check_batch_size(size: Any, samples: int) -> None:
    """Raise InputError if the batch size exceeds the number of samples."""
    count("batch_size", size, 1)
    if not samples:
        raise InputError("batch_size", size, "this model has no samples; leave it out")
    if size > samples:
        raise InputError("batch_size", size, f"there are {samples} samples; give at most those")


def positive(option: str, value: object) -> float:
    """Return a finite number above 0."""
    remedy = "give a number above 0"
    number = finite(option, value, remedy)
    if number <= 0:
        raise InputError(option, value, remedy)
    return number


def nonnegative(option: str, value: object) -> float:
    """Return a finite number of at least 0."""
    remedy = "give a number of at least 0"
    number = finite(option, value, remedy)
    if number < 0:
        raise InputError(option, value, remedy)
    return number


def fraction(option: str, value: object) -> float:
    """Return a number from 0 to below 1."""
    remedy = "give a number from 0 to below 1"
    number = finite(option, value, remedy)
    if not 0 <= number < 1:
        raise InputError(option, value, remedy)
    return number


# A longer list of names helps nobody.
_MOST_NAMES = 20


def one_of(option: str, value: object, choices: Iterable[str]) -> str:
    """Return one of the names; the error suggests the nearest name."""
    names = list(choices)
    if isinstance(value, str) and value in names:
        return value
    near = did_you_mean(printable(value), names)
    remedy = f"give {', '.join(names)}"
    if len(names) > _MOST_NAMES:
        remedy = "" if near else f"give one of {len(names)}, such as {', '.join(names[:3])}"
    raise InputError(option, value, f"unknown; {near}{remedy}".rstrip())
