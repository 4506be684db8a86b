"""RMSProp."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from simulator.checks import fraction, nonnegative
from simulator.numerics import updates
from simulator.optimizers.base import Array, Optimizer, StabilityLimit, held_where_zero

__all__ = ["RMSProp"]


@dataclass(frozen=True)
class RMSProp(Optimizer):
    """v_t = beta2 v_{t-1} + (1 - beta2) g_t^2, u_t = g_t / (sqrt(v_t) + eps), v_0 = 0.

    PyTorch's form: no bias correction, eps outside the root. (optax puts eps inside unless told
    otherwise, and PyTorch's beta2 is 0.99.) With P = sqrt(v_t) + eps held fixed it is gradient
    descent on P^-1 H: stable iff eta times the pre-conditioned sharpness is below 2.

    Parameters
    ----------
    beta2 : float in [0, 1)
        Memory of the squared gradients.
    eps : float
        Added to the root.

    Raises
    ------
    InputError
        For a value outside these.
    """

    name: ClassVar[str] = "rmsprop"
    vectors: ClassVar[int] = 1
    adaptive: ClassVar[bool] = True

    beta2: float = 0.999
    eps: float = 1e-8

    def __post_init__(self) -> None:
        fraction("beta2", self.beta2)
        nonnegative("eps", self.eps)

    def direction(self, theta: Array, gradient: Array, state: Array, t: int, out: Array) -> None:
        real = theta.dtype.type
        updates.accumulate_squares(state[0], gradient, real(self.beta2), real(1.0 - self.beta2))
        updates.divide_by_root(gradient, state[0], real(1.0), real(1.0), real(self.eps), out)

    def preconditioner(self, gradient: Array, state: Array, t: int) -> Array:
        v = self.beta2 * state[0] + (1.0 - self.beta2) * gradient**2
        return held_where_zero(np.sqrt(v) + self.eps)

    @property
    def limit(self) -> StabilityLimit:
        return StabilityLimit(2.0)

    @property
    def first_limit(self) -> StabilityLimit:
        return self.limit
