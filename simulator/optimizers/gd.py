"""Gradient descent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from simulator.optimizers.base import Array, Limit, Optimizer, Recurrence
from simulator.theory.quadratics import heavy_ball_limit

__all__ = ["GD"]


@dataclass(frozen=True)
class GD(Optimizer):
    """u_t = g_t; SGD when given a batch size.

    On an eigenvalue z / eta of a quadratic an update multiplies by 1 - z, so it is stable iff
    0 < z < 2.
    """

    name: ClassVar[str] = "gd"
    vectors: ClassVar[int] = 0

    def direction(self, theta: Array, gradient: Array, state: Array, t: int, out: Array) -> None:
        out[:] = gradient

    def recurrence(self, t: int) -> Recurrence:
        return Recurrence(keep=0.0, take=1.0, of_momentum=0.0, of_gradient=1.0)

    @property
    def limit(self) -> Limit:
        return Limit(float(heavy_ball_limit()))

    @property
    def first_limit(self) -> Limit:
        return self.limit
