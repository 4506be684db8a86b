"""Read-only views of the arrays that user-defined functions are given."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from simulator.arrays import Array
from simulator.checks import InputError

__all__ = ["read_only", "refusing_writes"]


def read_only(array: Array) -> Array:
    """A read-only view of an array; later changes of the array show in it."""
    view = array.view()
    view.flags.writeable = False
    return view


@contextmanager
def refusing_writes(function: str) -> Iterator[None]:
    """Turn a write into a `read_only` array into an error that names the function.

    Raises `InputError` in place of NumPy's ValueError and Numba's TypingError.
    """
    try:
        yield
    except Exception as error:
        if "read-only" in str(error) or "readonly array" in str(error):
            raise InputError(
                function, "writes into an array that it was given", "let it work on a copy"
            ) from error
        raise
