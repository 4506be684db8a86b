"""RAdam: Adam with its early variance rectified."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import ClassVar

import numpy as np

from simulator.optimizers.base import Array
from simulator.optimizers.moments import Moments

__all__ = ["RAdam"]

# Where the variance of 1 / sqrt(v) becomes tractable (Liu et al. 1908.03265; optax and PyTorch).
_TRACTABLE = 5.0


@dataclass(frozen=True)
class RAdam(Moments):
    """Adam times r_t, and plain momentum m^_t until r_t exists (Liu et al. 1908.03265).

    rho_t = rho - 2 t beta2^t / (1 - beta2^t) with rho = 2 / (1 - beta2) - 1, and r_t^2 =
    (rho_t - 4)(rho_t - 2) rho / ((rho - 4)(rho - 2) rho_t) once rho_t >= 5 (optax; PyTorch: > 5).
    r_t is a part of P: divided by it, and P = 1 - beta1^t before.

    Parameters
    ----------
    beta1 : float
        Memory of the average of gradients, from 0 to below 1.
    beta2 : float
        Memory of the average of their squares, from 0 to below 1.
    eps : float
        Added to the root of the second.

    Raises
    ------
    InputError
        For a value outside these.
    """

    name: ClassVar[str] = "radam"

    def second_moment(self, gradient: Array, seed: int) -> float:
        return 0.0

    def rectification(self, t: int) -> float:
        """r_t, or 0 where it does not exist yet."""
        rho = 2.0 / (1.0 - self.beta2) - 1.0
        power = self.beta2**t
        rho_t = rho - 2.0 * t * power / (1.0 - power)
        if rho_t < _TRACTABLE:
            return 0.0
        return sqrt((rho_t - 4.0) * (rho_t - 2.0) * rho / ((rho - 4.0) * (rho - 2.0) * rho_t))

    def direction(self, theta: Array, gradient: Array, state: Array, t: int, out: Array) -> None:
        self.advance(gradient, state)
        r = self.rectification(t)
        if r:
            self.corrected(state, t, out)
            out *= theta.dtype.type(r)
        else:
            out[:] = state[0] / theta.dtype.type(1.0 - self.beta1**t)

    def preconditioner(self, gradient: Array, state: Array, t: int) -> Array:
        r = self.rectification(t)
        if r:
            return super().preconditioner(gradient, state, t) / gradient.dtype.type(r)
        return np.full_like(gradient, 1.0 - self.beta1**t)
