"""Train many runs at once, by `simulator.numerics.batched`."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from simulator.arrays import Array
from simulator.data import Data

__all__ = ["BatchedModel", "Problem"]


class Problem(NamedTuple):
    """kappa y and 1 / (sqrt(2) kappa): what `simulator.numerics.one_example` needs to know."""

    target: float
    per_residual: float


class BatchedModel:
    """A two-layer linear network f = c V U x on one example, trained many runs at once.

    The state of a run is the lengths of the sum and the difference of the layers, the residual, and
    the momenta of the lengths: see `simulator.numerics.one_example`.

    Parameters
    ----------
    data : Data
        One example with one output, x not 0.
    rows : int
        Hidden units in theta: U^T (d, rows), then V (rows, 1).
    c : float
        The output multiplier.

    Attributes
    ----------
    problem : Problem
    """

    def __init__(self, data: Data, rows: int, c: float) -> None:
        length = float(np.linalg.norm(data.x[0]))
        self._along, self._rows = data.x[0] / length, rows
        kappa, y = c * length, float(data.targets[0, 0])
        self._scale = 0.5 * kappa
        self.problem = Problem(kappa * y, 1.0 / (np.sqrt(2.0) * kappa))

    def _modes(self, thetas: Array) -> tuple[Array, Array]:
        """U x / |x| + V and U x / |x| - V, each (runs, rows)."""
        inputs = self._along.size
        u = self._along @ thetas[:, : inputs * self._rows].reshape(-1, inputs, self._rows)
        v = thetas[:, inputs * self._rows :]
        return u + v, u - v

    def begin(self, thetas: Array) -> Array:
        """States (state rows, runs) of thetas (runs, P), momentum 0."""
        # kappa |p| / sqrt(2) of p = (u + v) / sqrt(2): see `simulator.numerics.one_example`.
        p, q = (self._scale * np.linalg.norm(mode, axis=1) for mode in self._modes(thetas))
        return np.stack([p, q, p**2 - q**2 - self.problem.target, 0.0 * p, 0.0 * q])

    def end(self, thetas: Array, states: Array) -> Array:
        """Thetas (runs, P) of final states, given the initial thetas."""
        return thetas + self._in_weights(thetas, states[:2] - self.begin(thetas)[:2])

    def momentum(self, thetas: Array, states: Array) -> Array:
        """The momentum (runs, P) of these states, in the weights."""
        return self._in_weights(thetas, states[3:])

    def _in_weights(self, thetas: Array, lengths: Array) -> Array:
        """Changes of thetas (runs, P) that change the lengths of the two modes by (2, runs)."""
        changes = []
        for mode, before, change in zip(
            self._modes(thetas), self.begin(thetas)[:2], lengths, strict=True
        ):
            # A mode that is 0 at first stays 0.
            factor = np.divide(change, before, out=np.zeros_like(change), where=before > 0)
            changes.append(factor[:, None] * mode)
        u = 0.5 * (changes[0] + changes[1])
        v = 0.5 * (changes[0] - changes[1])
        return np.concatenate(
            [(self._along[:, None] * u[:, None, :]).reshape(len(thetas), -1), v], axis=1
        )
