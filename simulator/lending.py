"""What a user's functions are given to read: arrays that they cannot write into."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from simulator.arrays import Array
from simulator.checks import InputError

__all__ = ["read_only", "refusing_writes"]


def read_only(array: Array) -> Array:
    """A view that refuses to be written into; it shows what the array holds later, too."""
    view = array.view()
    view.flags.writeable = False
    return view


@contextmanager
def refusing_writes(function: str) -> Iterator[None]:
    """Name the user's function that writes into a `read_only` array.

    Raises `InputError` for what NumPy (ValueError) and Numba (TypingError) raise there.
    """
    try:
        yield
    except Exception as error:
        if "read-only" in str(error) or "readonly array" in str(error):
            raise InputError(
                function, "writes into an array that it was given", "let it work on a copy"
            ) from error
        raise
