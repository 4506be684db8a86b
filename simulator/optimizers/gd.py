"""Gradient descent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from numpy.typing import ArrayLike

from simulator.numerics import updates
from simulator.optimizers.base import Array, Optimizer, over_eta

__all__ = ["GD"]


@dataclass(frozen=True)
class GD(Optimizer):
    """theta_{t+1} = theta_t - eta_t g_t; SGD when given a batch size.

    On an eigenvalue z / eta of a quadratic an update multiplies by 1 - z, so it is stable iff
    0 < z < 2.
    """

    name: ClassVar[str] = "gd"
    vectors: ClassVar[int] = 0

    def step(self, theta: Array, gradient: Array, state: Array, eta: float, t: int) -> None:
        updates.gd(theta, gradient, theta.dtype.type(eta))

    def threshold(self, eta: ArrayLike) -> Array:
        """2 / eta."""
        return over_eta(2.0, eta)
