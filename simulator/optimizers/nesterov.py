"""Nesterov's momentum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from simulator.checks import fraction
from simulator.numerics import updates
from simulator.optimizers.base import Array, Limit, Optimizer, Recurrence
from simulator.theory.quadratics import nesterov_limit

__all__ = ["Nesterov"]


@dataclass(frozen=True)
class Nesterov(Optimizer):
    """m_t = beta m_{t-1} + g_t, u_t = g_t + beta m_t, m_0 = 0: PyTorch's form.

    Stable iff eta lambda < (2 + 2 beta) / (1 + 2 beta): less than gradient descent's 2.

    Parameters
    ----------
    beta : float in [0, 1)
        Momentum.
    """

    name: ClassVar[str] = "nesterov"
    vectors: ClassVar[int] = 1

    beta: float = 0.9

    def __post_init__(self) -> None:
        fraction("momentum", self.beta)

    def direction(self, theta: Array, gradient: Array, state: Array, t: int, out: Array) -> None:
        beta = theta.dtype.type(self.beta)
        updates.accumulate(state[0], gradient, beta, theta.dtype.type(1.0))
        updates.look_ahead(state[0], gradient, beta, out)

    def recurrence(self, t: int) -> Recurrence:
        return Recurrence(self.beta, take=1.0, of_momentum=self.beta, of_gradient=1.0)

    @property
    def limit(self) -> Limit:
        return Limit(float(nesterov_limit(self.beta)))

    @property
    def first_limit(self) -> Limit:
        return Limit(2.0 / (1.0 + self.beta))
