"""User data: arrays in a .npz file, a table in a .csv file, or a data frame."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from simulator.arrays import Array
from simulator.checks import InputError, one_of
from simulator.files import open_file
from simulator.npz import MOST_NUMBERS, read_arrays

__all__ = ["READERS", "columns_of"]

# The label column of a table has one of these names.
_TARGETS = ("label", "y", "target", "class")
# A number takes two bytes or more.
_LARGEST_FILE = 2 * MOST_NUMBERS


def columns_of(name: object, table: Any, label: str | None = None) -> dict[str, Array]:
    """x (m, d) and y, of shape (m,) for classes or (m, 1), from a table with named columns.

    Raises
    ------
    InputError
        If the table has no unique label column, or if inputs are not numbers.
    """
    columns = [str(column) for column in table.columns]
    found = [column for column in columns if column.strip().lower() in _TARGETS]
    if label is not None:
        found = [one_of("label", label, columns)]
    if len(found) != 1:
        problem = f"has the columns {', '.join(found)}" if found else "has no column to learn"
        raise InputError("data", name, f"{problem}; name one with label")
    inputs = {}
    for key, column in zip(table.columns, columns, strict=True):
        if column == found[0]:
            target = np.asarray(table[key])
            continue
        values = np.asarray(table[key])
        if values.dtype.kind not in "fiub":
            raise InputError("data", name, f"its column {column} holds no numbers; leave it out")
        inputs[column] = values.astype(float)
    if not inputs:
        raise InputError("data", name, "has no column of inputs")
    return {"x": np.column_stack([*inputs.values()]), "y": _learned(target)}


def _learned(target: Array) -> Array:
    if target.dtype.kind == "f":
        return target[:, None]
    if target.dtype.kind in "iu":
        return target
    return np.unique(target.astype(str), return_inverse=True)[1]


def _read_csv(path: Path, label: str | None) -> dict[str, Array]:
    import pandas as pd

    try:
        with open_file("data", path) as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about columns of mixed types, which raise an error
            if path.stat().st_size > _LARGEST_FILE:
                raise InputError("data", path, f"holds more than {_LARGEST_FILE} bytes")
            table = pd.read_csv(file, skipinitialspace=True)
    except FileNotFoundError:
        raise InputError("data", path, "does not exist; name a .csv file") from None
    except OSError as error:
        raise InputError("data", path, f"cannot be read: {error.strerror}") from None
    except InputError:
        raise
    except (ValueError, OverflowError):  # pandas raises ValueError
        raise InputError(
            "data", path, "is not a table; give lines of values, with a header"
        ) from None
    return columns_of(path, table, label)


def _read_npz(path: Path, label: str | None) -> dict[str, Array]:
    """Read arrays; Python objects raise an error, and nothing is unpickled."""
    arrays = read_arrays("data", path, ("x", "y", "x_test", "y_test"))
    missing = [key for key in ("x", "y") if key not in arrays]
    if missing:
        raise InputError("data", path, f"has no array {missing[0]!r}; it needs x and y")
    return arrays


READERS: dict[str, Callable[[Path, str | None], dict[str, Array]]] = {
    ".npz": _read_npz,
    ".csv": _read_csv,
}
