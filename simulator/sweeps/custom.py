"""Models, optimizers and schedules in a spec: built-in ones by name, others by fingerprint.

A user-defined object is read from a store as a record with a name and options, which can be shown
and compared but not trained.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn, Self

import numpy as np
from numpy.typing import NDArray

from simulator.checks import InputError, one_of
from simulator.data import Data
from simulator.models import Array, Model, Objective
from simulator.named import Named
from simulator.optimizers import Optimizer, StabilityLimit
from simulator.schedules import GRID, Schedule
from simulator.shipped import is_shipped
from simulator.sweeps.fingerprint import fingerprint

__all__ = ["is_recorded", "plain_of", "rebuild"]


@dataclass(frozen=True)
class Recorded(Named):
    """A user-defined object of which a store knows the name and the options."""

    entries: Mapping[str, Any]

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", self.entries["name"])

    def options(self) -> dict[str, Any]:
        return {name: value for name, value in self.entries.items() if name != "name"}

    def with_options(self, **changes: Any) -> Self:
        return type(self)({**self.entries, **changes})


@dataclass(frozen=True)
class RecordedModel(Recorded, Model):
    """A model."""

    def init(self, data: Data | None = None, seed: int = 0, dtype: str = "float64") -> Array:
        _refuse("model", self.name)

    def bind(self, data: Data | None = None, dtype: str = "float64") -> Objective:
        _refuse("model", self.name)


@dataclass(frozen=True)
class RecordedOptimizer(Recorded, Optimizer):
    """An optimizer."""

    def direction(self, theta: Array, gradient: Array, state: Array, t: int, out: Array) -> None:
        _refuse("optimizer", self.name)

    @property
    def limit(self) -> StabilityLimit:
        _refuse("optimizer", self.name)

    @property
    def first_limit(self) -> StabilityLimit:
        _refuse("optimizer", self.name)


@dataclass(frozen=True)
class RecordedSchedule(Recorded, Schedule):
    """A schedule."""

    def values(self, steps: int) -> NDArray[np.float64]:
        _refuse("schedule", self.name)


_RECORDS: dict[str, type[Recorded]] = {
    "model": RecordedModel, "optimizer": RecordedOptimizer, "schedule": RecordedSchedule,
}  # fmt: skip


def _refuse(kind: str, name: str) -> NoReturn:
    raise InputError(
        kind, name,
        "is user-defined, and a store does not hold its code; train it from Python, where it "
        "is defined: simulator.sweep(..., output=STORE, resume=True) resumes the store",
    )  # fmt: skip


def is_recorded(thing: Named) -> bool:
    """Whether an object is known by name only."""
    return isinstance(thing, Recorded)


def plain_of(kind: str, thing: Named, ours: Mapping[str, type[Any]]) -> dict[str, Any]:
    """Name and options, and for user-defined objects the code's fingerprint as ``source``."""
    # Fields that the grid gives are omitted.
    options = {k: None if k in GRID else value for k, value in thing.options().items()}
    plain = {"name": thing.name, **options}
    if is_recorded(thing) or (type(thing) in ours.values() and is_shipped(thing)):
        return plain
    if thing.name in ours:
        raise InputError(kind, thing.name, f"is the name of a built-in {kind}; choose another name")
    for option, value in plain.items():
        entries = [*value] if isinstance(value, (tuple, list)) else [value]
        if isinstance(value, (tuple, list)):
            plain[option] = tuple(value)
        if not all(_is_plain(entry) for entry in entries):
            raise InputError(
                kind, f"{thing.name} with an option {option} of type {type(value).__name__}",
                "a store keeps numbers, texts, truth values, and tuples of them",
            )  # fmt: skip
    return plain | {"source": fingerprint(thing)}


def _is_plain(value: object) -> bool:
    return value is None or isinstance(value, (bool, int, float, str))


def rebuild(kind: str, ours: Mapping[str, type[Any]], plain: object) -> Any:
    """Inverse of `plain_of`: the object, or a record of a user-defined one."""
    if not isinstance(plain, Mapping):
        raise InputError("spec", f"without {kind}", "another version wrote it")
    options = dict(plain)
    name = options.pop("name", None)
    if isinstance(name, str) and name not in ours and isinstance(options.get("source"), str):
        entries = {k: tuple(v) if isinstance(v, list) else v for k, v in plain.items()}
        return _RECORDS[kind](entries)
    one_of(kind, name, ours)
    assert isinstance(name, str)
    # Fields that the grid gives are missing.
    options = {k: v for k, v in options.items() if v is not None or k not in GRID}
    try:
        return ours[name](**options)
    except TypeError:
        raise InputError(kind, name, "has options that this version does not know") from None
