"""Checks at the boundary: one sentence that names the option, its value, and what would do."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable

__all__ = ["InputError", "at_least", "fraction", "nonnegative", "one_of", "positive"]


class InputError(ValueError):
    """Input that cannot be used.

    Parameters
    ----------
    option : str
        Name as in Python (``eta_trgt``); the command line shows it as ``--eta-trgt``.
    value : object
        What was given.
    remedy : str
        What is wrong with it and what would do.
    """

    def __init__(self, option: str, value: object, remedy: str) -> None:
        self.option, self.value, self.remedy = option, value, remedy
        super().__init__(f"{option} {value}: {remedy}")

    def __reduce__(self) -> tuple[type[InputError], tuple[str, object, str]]:
        return InputError, (self.option, self.value, self.remedy)


def _is_number(value: object) -> bool:
    real = isinstance(value, (int, float)) or hasattr(value, "__float__")
    return real and not isinstance(value, (bool, str)) and math.isfinite(float(value))  # type: ignore[arg-type]


def at_least(option: str, value: object, least: int) -> int:
    """A whole number not below ``least``."""
    whole = hasattr(value, "__index__") and not isinstance(value, bool)
    if not whole or int(value) < least:  # type: ignore[call-overload]
        raise InputError(option, value, f"give a whole number of at least {least}")
    return int(value)  # type: ignore[call-overload, no-any-return]


def positive(option: str, value: object) -> float:
    """A finite number above 0."""
    if not _is_number(value) or float(value) <= 0:  # type: ignore[arg-type]
        raise InputError(option, value, "give a number above 0")
    return float(value)  # type: ignore[arg-type]


def nonnegative(option: str, value: object) -> float:
    """A finite number, 0 or above."""
    if not _is_number(value) or float(value) < 0:  # type: ignore[arg-type]
        raise InputError(option, value, "give a number of at least 0")
    return float(value)  # type: ignore[arg-type]


def fraction(option: str, value: object) -> float:
    """A number from 0 to below 1."""
    if not _is_number(value) or not 0 <= float(value) < 1:  # type: ignore[arg-type]
        raise InputError(option, value, "give a number from 0 to below 1")
    return float(value)  # type: ignore[arg-type]


def one_of(option: str, value: object, choices: Iterable[str]) -> str:
    """One of the names, or an error that suggests the nearest."""
    names = list(choices)
    if isinstance(value, str) and value in names:
        return value
    near = difflib.get_close_matches(str(value), names, n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    raise InputError(option, value, f"unknown; {hint}give {', '.join(names)}")
