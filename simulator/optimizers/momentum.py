"""Heavy-ball momentum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from simulator.checks import InputError, fraction
from simulator.numerics import updates
from simulator.optimizers.base import Array, Limit, Optimizer, Recurrence
from simulator.theory.quadratics import heavy_ball_limit

__all__ = ["Momentum"]


@dataclass(frozen=True)
class Momentum(Optimizer):
    """m_t = beta m_{t-1} + (1 - dampening) g_t, u_t = m_t: PyTorch's form.

    The companion matrix of an eigenvalue z / eta has both roots inside the unit circle iff
    0 < z < (2 + 2 beta) / (1 - dampening). The first update is a plain gradient step, so the loss
    may rise from z = 2 on without any instability.

    Parameters
    ----------
    beta : float in [0, 1)
        Momentum.
    dampening : float in [0, 1)
        As in PyTorch the first gradient is spared: m_1 = g_1.
    ema : bool
        The moving average m_t = beta m_{t-1} + (1 - beta) g_t from m_0 = 0 instead, as in Adam
        before its bias correction; no gradient is spared. The trajectory is that of the plain form
        at eta (1 - beta). Leave ``dampening`` out.

    Raises
    ------
    InputError
        For a value outside these.
    """

    name: ClassVar[str] = "momentum"
    vectors: ClassVar[int] = 1

    beta: float = 0.9
    dampening: float = 0.0
    ema: bool = False

    def __post_init__(self) -> None:
        fraction("momentum", self.beta)
        fraction("dampening", self.dampening)
        if self.ema and self.dampening:
            raise InputError("dampening", self.dampening, "is fixed by ema; leave it out")

    @property
    def _dampening(self) -> float:
        return self.beta if self.ema else self.dampening

    def _share(self, t: int) -> float:
        """What part of gradient number t enters the momentum."""
        return 1.0 if t == 1 and not self.ema else 1.0 - self._dampening

    def direction(self, theta: Array, gradient: Array, state: Array, t: int, out: Array) -> None:
        real = theta.dtype.type
        updates.accumulate(state[0], gradient, real(self.beta), real(self._share(t)))
        out[:] = state[0]

    def recurrence(self, t: int) -> Recurrence:
        return Recurrence(self.beta, self._share(t), of_momentum=1.0, of_gradient=0.0)

    @property
    def limit(self) -> Limit:
        return Limit(float(heavy_ball_limit(self.beta, self._dampening)))

    @property
    def first_limit(self) -> Limit:
        return Limit(2.0 / self._share(1))
