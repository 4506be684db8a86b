"""Heavy-ball momentum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from numpy.typing import ArrayLike

from simulator.checks import InputError, nonnegative
from simulator.numerics import updates
from simulator.optimizers.base import Array, Optimizer, over_eta

__all__ = ["Momentum"]


@dataclass(frozen=True)
class Momentum(Optimizer):
    """m_t = beta m_{t-1} + g_t, theta_{t+1} = theta_t - eta_t m_t, m_0 = 0 (PyTorch's form).

    The companion matrix [[1 + beta - z, -beta], [1, 0]] of an eigenvalue z / eta has both roots
    inside the unit circle iff 0 < z < 2 + 2 beta. The first update is a plain gradient step, so
    the loss may rise from z = 2 on without any instability.

    Parameters
    ----------
    beta : float in [0, 1)
        Momentum.
    """

    name: ClassVar[str] = "momentum"
    vectors: ClassVar[int] = 1

    beta: float = 0.9

    def __post_init__(self) -> None:
        if nonnegative("momentum", self.beta) >= 1:
            raise InputError("momentum", self.beta, "give a number from 0 to below 1")

    def step(self, theta: Array, gradient: Array, state: Array, eta: float, t: int) -> None:
        real = theta.dtype.type
        updates.heavy_ball(theta, gradient, state[0], real(eta), real(self.beta))

    def threshold(self, eta: ArrayLike) -> Array:
        """(2 + 2 beta) / eta."""
        return over_eta(2.0 + 2.0 * self.beta, eta)
