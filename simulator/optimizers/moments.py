"""What Adam and its kin have in common: moving averages of the gradient and of its square."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from simulator.checks import fraction, nonnegative
from simulator.numerics import updates
from simulator.optimizers.base import Array, Optimizer, StabilityLimit, held_where_zero
from simulator.theory.quadratics import heavy_ball_limit

__all__ = ["Moments"]


@dataclass(frozen=True)
class Moments(Optimizer):
    r"""m_t = beta1 m_{t-1} + (1 - beta1) g_t, v_t = beta2 v_{t-1} + (1 - beta2) g_t^2, m_0 = 0.

    u_t = m^_t / (sqrt(v^_t) + eps), with m^_t = m_t / (1 - beta1^t), v^_t = v_t / (1 - beta2^t):
    the form of PyTorch and optax, eps outside the root. Written u_t = m_t / P with
    P = (1 - beta1^t)(sqrt(v^_t) + eps), this is a moving-average heavy ball on P^-1 H: with P held
    fixed it is stable iff eta times the pre-conditioned sharpness is below
    (2 + 2 beta1) / (1 - beta1), 38 at beta1 = 0.9 (Cohen et al. 2207.14484; Kalra & Barkeshli 2024,
    appendix B.1, whose printed P lacks the root). The first update, with the momentum empty, bears
    2 / (1 - beta1) only.

    Subclasses say what v_0 is, and may change the denominator.

    Parameters
    ----------
    beta1, beta2 : floats in [0, 1)
        Memory of the gradients and of their squares.
    eps : float
        Added to the root; where it is 0, what has never had a gradient does not move.
    """

    vectors: ClassVar[int] = 2
    adaptive: ClassVar[bool] = True

    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8

    def __post_init__(self) -> None:
        fraction("beta1", self.beta1)
        fraction("beta2", self.beta2)
        nonnegative("eps", self.eps)

    @abstractmethod
    def second_moment(self, gradient: Array, seed: int) -> Array | float:
        """v_0 (P,), or one number for all, given the gradient (P,) of the first update."""

    def start(self, theta: Array, gradient: Array, seed: int) -> Array:
        state = np.zeros((self.vectors, theta.size), dtype=theta.dtype)
        state[1] = self.second_moment(gradient, seed)
        return state

    def direction(self, theta: Array, gradient: Array, state: Array, t: int, out: Array) -> None:
        self.advance(gradient, state)
        self.corrected(state, t, out)

    def advance(self, gradient: Array, state: Array) -> None:
        """Take a gradient into both averages."""
        real = gradient.dtype.type
        updates.accumulate(state[0], gradient, real(self.beta1), real(1.0 - self.beta1))
        updates.accumulate_squares(state[1], gradient, real(self.beta2), real(1.0 - self.beta2))

    def corrected(self, state: Array, t: int, out: Array) -> None:
        """m^_t / (sqrt(v^_t) + eps) into ``out`` (P,)."""
        real = out.dtype.type
        first, second = 1.0 / (1.0 - self.beta1**t), 1.0 / (1.0 - self.beta2**t)
        updates.divide_by_root(state[0], state[1], real(first), real(second), real(self.eps), out)

    def preconditioner(self, gradient: Array, state: Array, t: int) -> Array:
        v = self.beta2 * state[1] + (1.0 - self.beta2) * gradient**2
        root = np.sqrt(v / (1.0 - self.beta2**t)) + self.eps
        return held_where_zero((1.0 - self.beta1**t) * root)

    @property
    def limit(self) -> StabilityLimit:
        return StabilityLimit(float(heavy_ball_limit(self.beta1, self.beta1)))

    @property
    def first_limit(self) -> StabilityLimit:
        return StabilityLimit(2.0 / (1.0 - self.beta1))
