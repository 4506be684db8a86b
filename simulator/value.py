"""Dataclasses with arrays: compared by their numbers, and shown as a picture in notebooks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from importlib import import_module
from typing import Any

import numpy as np

__all__ = ["Value", "above"]


class Value:
    """A dataclass that compares arrays entry by entry, with NaN equal to NaN.

    Fields with ``compare=False`` are not compared.
    """

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        names = [field.name for field in fields(self) if field.compare]  # type: ignore[arg-type]
        return all(_same(getattr(self, name), getattr(other, name)) for name in names)

    def __hash__(self) -> int:
        values = [getattr(self, field.name) for field in fields(self)]  # type: ignore[arg-type]
        first = next(value for value in values if isinstance(value, np.ndarray))
        return hash((first.shape, first.tobytes()))

    def _repr_html_(self) -> str:
        return str(above("figures").inline(self))


def above(module: str) -> Any:
    """Import a module above all values, such as `simulator.figures`, when it is needed."""
    return import_module(f"simulator.{module}")


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        same_kind = (a.shape, a.dtype) == (b.shape, b.dtype)
        return same_kind and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return a.keys() == b.keys() and all(_same(a[name], b[name]) for name in a)
    return bool(a == b or (a != a and b != b))
