"""A quadratic with given curvatures, which is exactly solvable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from simulator.arrays import Array
from simulator.checks import InputError, finite
from simulator.data import Data
from simulator.models.base import Model, Objective
from simulator.seeding import generator

__all__ = ["Quadratic"]


@dataclass(frozen=True)
class Quadratic(Model):
    """L(theta) = 0.5 * sum_i c_i theta_i^2. Needs no data; its sharpness is max_i c_i, everywhere.

    Parameters
    ----------
    curvatures : sequence of float, shape (P,)
        The eigenvalues c_i of the Hessian.

    Raises
    ------
    InputError
        If there is no curvature, or one is not finite.
    """

    name: ClassVar[str] = "quadratic"

    curvatures: Sequence[float] = (1.0,)

    def __post_init__(self) -> None:
        curvatures = tuple(finite("curvatures", c) for c in self.curvatures)
        if not curvatures:
            raise InputError("curvatures", "empty", "give one finite number or more")
        object.__setattr__(self, "curvatures", curvatures)

    def init(self, data: Data | None = None, seed: int = 0, dtype: str = "float64") -> Array:
        """Standard normal theta (P,)."""
        draws = generator(seed, "init").standard_normal(len(self.curvatures))
        return draws.astype(dtype)

    def bind(self, data: Data | None = None, dtype: str = "float64") -> Objective:
        return _QuadraticObjective(np.array(self.curvatures, dtype=dtype))


class _QuadraticObjective(Objective):
    def __init__(self, curvatures: Array) -> None:
        super().__init__(curvatures.size, 0, curvatures.dtype.name)
        self._curvatures = curvatures

    def loss(self, theta: Array) -> float:
        return float(0.5 * np.sum(self._curvatures * theta * theta))

    def gradient(self, theta: Array, out: Array) -> float:
        np.multiply(self._curvatures, theta, out=out)
        return self.loss(theta)

    def hvp(self, v: Array, out: Array) -> None:
        np.multiply(self._curvatures, v, out=out)
