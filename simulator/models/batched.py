"""Networks small enough to be trained side by side, in `simulator.numerics.batched`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulator.data import Data

__all__ = ["Array", "BatchedModel", "BatchedModes", "BatchedWeights", "Problem"]

Array = NDArray[Any]


class Problem(NamedTuple):
    """The arguments of `simulator.numerics.batched.train` that say what is trained."""

    modes: bool
    shape: tuple[int, int]
    numbers: tuple[float, float, float]
    x: Array
    y: Array
    gram: Array


class BatchedModel(ABC):
    """A two-layer linear network f = c V U x whose runs share vector registers.

    Attributes
    ----------
    problem : Problem
    work_rows : int
        Rows of scratch that its kernel needs.
    """

    problem: Problem
    work_rows: int

    @abstractmethod
    def begin(self, thetas: Array) -> Array:
        """States (state rows, runs) of thetas (runs, P), momentum 0."""

    @abstractmethod
    def end(self, thetas: Array, states: Array) -> Array:
        """Thetas (runs, P) of the states that training from these thetas led to."""


class BatchedWeights(BatchedModel):
    """Weight by weight: theta is U^T (d, rows), then V (rows, k)."""

    def __init__(self, data: Data, rows: int, c: float) -> None:
        from simulator.numerics.two_layers import scratch_rows

        x, y = np.ascontiguousarray(data.x, float), np.ascontiguousarray(data.targets, float)
        size = rows * (data.inputs + data.outputs)
        self.problem = Problem(False, (rows, 2 * size), (c, 0.0, 0.0), x, y, x.T @ x)
        self.work_rows = scratch_rows(data.samples, data.inputs, rows, data.outputs)

    def begin(self, thetas: Array) -> Array:
        return np.concatenate([thetas.T, np.zeros_like(thetas.T)])

    def end(self, thetas: Array, states: Array) -> Array:
        return np.ascontiguousarray(states[: thetas.shape[1]].T)


class BatchedModes(BatchedModel):
    """On one example: the lengths of the sum and the difference of the layers, and the residual."""

    def __init__(self, data: Data, rows: int, c: float) -> None:
        self._length = float(np.linalg.norm(data.x[0]))
        self._along, self._rows = data.x[0] / self._length, rows
        kappa, y = c * self._length, float(data.targets[0, 0])
        self._scale = 0.5 * kappa
        numbers = (c, kappa * y, 1.0 / (np.sqrt(2.0) * kappa))
        none = np.zeros((0, 0))
        self.problem = Problem(True, (rows, 5), numbers, none, none, none)
        self.work_rows = 0

    def _modes(self, thetas: Array) -> tuple[Array, Array]:
        """U x / |x| + V and U x / |x| - V, each (runs, rows)."""
        inputs = self._along.size
        u = self._along @ thetas[:, : inputs * self._rows].reshape(-1, inputs, self._rows)
        v = thetas[:, inputs * self._rows :]
        return u + v, u - v

    def begin(self, thetas: Array) -> Array:
        # kappa |p| / sqrt(2) of p = (u + v) / sqrt(2): see `simulator.numerics.one_example`.
        p, q = (self._scale * np.linalg.norm(mode, axis=1) for mode in self._modes(thetas))
        return np.stack([p, q, p**2 - q**2 - self.problem.numbers[1], 0.0 * p, 0.0 * q])

    def end(self, thetas: Array, states: Array) -> Array:
        changes = []
        for mode, before, after in zip(
            self._modes(thetas), self.begin(thetas)[:2], states[:2], strict=True
        ):
            # A mode that is not there never comes.
            factor = np.divide(after - before, before, out=np.zeros_like(after), where=before > 0)
            changes.append(factor[:, None] * mode)
        ended = thetas.copy()
        inputs = self._along.size
        u = 0.5 * (changes[0] + changes[1])
        ended[:, : inputs * self._rows] += (self._along[:, None] * u[:, None, :]).reshape(
            len(thetas), -1
        )
        ended[:, inputs * self._rows :] += 0.5 * (changes[0] - changes[1])
        return ended
