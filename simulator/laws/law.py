"""What a law is: a prediction of `simulator.theory` beside a measurement on random instances.

To add one, write a function of a random generator in the file of its topic:

1. Its docstring's first paragraph states the law; the rest says where it is from and how it is
   measured.
2. It draws instances, measures them through the simulator or dense algebra, never through the
   formula that it tests, and yields `equal`, `match` or `at_most` of each, or of several at once.
3. ``@law(tolerance)`` registers it under its own name; ``picture=`` a function that draws it.

``warmup theory`` lists it and ``tests/test_laws.py`` holds it from then on.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulator.arrays import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["LAWS", "Finding", "Law", "Reading", "at_most", "equal", "law", "match"]

Measurement = Callable[[np.random.Generator], Iterator["Reading"]]
Picture = Callable[["Axes", np.random.Generator], None]


class Reading(NamedTuple):
    """Predictions and measurements, one entry per instance, and their difference.

    Attributes
    ----------
    predicted, measured : arrays, shape (instances,)
    difference : array, shape (instances,)
        Relative difference; for a bound, the relative excess.
    relation : {"=", "iff", "<="}
        The claimed relation of measured and predicted.
    """

    predicted: Array
    measured: Array
    difference: NDArray[np.float64]
    relation: str


def equal(predicted: ArrayLike, measured: ArrayLike, scale: ArrayLike | None = None) -> Reading:
    """Claim that numbers agree, relative to ``scale`` (default: the prediction's size)."""
    p, m = _flat(predicted, measured)
    size = np.abs(p) if scale is None else np.broadcast_to(np.asarray(scale, float), p.shape)
    return Reading(p, m, np.abs(m - p) / size, "=")


def match(predicted: ArrayLike, measured: ArrayLike) -> Reading:
    """Claim that booleans or counts are equal; each mismatch counts 1."""
    p, m = _flat(predicted, measured)
    return Reading(p, m, (p != m).astype(float), "iff")


def at_most(bound: ArrayLike, measured: ArrayLike) -> Reading:
    """Claim that the measurement does not exceed a positive bound."""
    p, m = _flat(bound, measured)
    return Reading(p, m, np.maximum(m / p - 1.0, 0.0), "<=")


def _flat(predicted: ArrayLike, measured: ArrayLike) -> tuple[Array, Array]:
    p, m = np.broadcast_arrays(np.atleast_1d(predicted), np.atleast_1d(measured))
    return p.ravel(), m.ravel()


@dataclass(frozen=True, eq=False)
class Finding:
    """The result of a law on one set of instances.

    ``predicted``, ``measured`` and ``difference`` are those of the worst instance; ``agreeing``
    counts the instances within the tolerance.
    """

    law: Law
    instances: int
    agreeing: int
    predicted: float
    measured: float
    difference: float
    relation: str
    holds: bool
    seconds: float


@dataclass(frozen=True)
class Law:
    """A statement, and the measurement that could refute it."""

    name: str
    topic: str
    statement: str
    source: str
    tolerance: float
    measure: Measurement
    picture: Picture | None = None

    def check(self, seed: int = 0) -> Finding:
        """Measure on the instances of this seed. A difference that is NaN fails."""
        began = time.perf_counter()
        readings = list(self.measure(self.generator(seed)))
        predicted, measured, differences = map(
            np.concatenate, zip(*(reading[:3] for reading in readings), strict=True)
        )
        worst = int(np.argmax(np.nan_to_num(differences, nan=np.inf)))
        difference = float(differences[worst])
        return Finding(
            law=self,
            instances=differences.size,
            agreeing=int(np.sum(differences <= self.tolerance)),
            predicted=predicted[worst].item(),
            measured=measured[worst].item(),
            difference=difference,
            relation=readings[0].relation,
            holds=difference <= self.tolerance,
            seconds=time.perf_counter() - began,
        )

    def generator(self, seed: int) -> np.random.Generator:
        """The random generator of this law; other laws do not change its instances."""
        name = int.from_bytes(self.name.encode(), "big")
        return np.random.default_rng([seed, name])


LAWS: dict[str, Law] = {}


def law(tolerance: float, picture: Picture | None = None) -> Callable[[Measurement], Measurement]:
    """Register a measurement as a law under its function's name."""

    def register(measure: Measurement) -> Measurement:
        name = measure.__name__.replace("_", "-")
        statement, _, source = inspect.getdoc(measure).partition("\n\n")  # type: ignore[union-attr]
        topic = measure.__module__.rpartition(".")[2]
        if name in LAWS:
            raise ValueError(f"two laws are called {name}")
        LAWS[name] = Law(
            name, topic, " ".join(statement.split()), source, tolerance, measure, picture
        )
        return measure

    return register
