"""Gradient descent, heavy ball and Nesterov's method, which are linear in the gradients."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from simulator.arrays import Array
from simulator.checks import InputError, fraction, nonnegative
from simulator.numerics import updates
from simulator.optimizers.base import Optimizer, Recurrence, StabilityLimit, add_decay

__all__ = ["GD", "LinearOptimizer", "Momentum", "Nesterov"]


@dataclass(frozen=True)
class LinearOptimizer(Optimizer):
    """m_t = keep m_{t-1} + take g_t and u_t = a m_t + b g_t + kappa theta_t.

    The coefficients are those of `recurrence`, and kappa is ``weight_decay``. On an eigenvalue z /
    eta of a quadratic the characteristic polynomial of (theta, m) is p(r) = (r - 1 + d)(r - keep) +
    z (a take r + b (r - keep)), d = eta kappa. For keep, a and b of the methods here its roots
    leave the unit circle where p(-1) = (2 - d)(1 + keep) - z (a take + b (1 + keep)) is 0, or p(1)
    is.
    """

    vectors: ClassVar[int] = 1

    weight_decay: float = field(default=0.0, kw_only=True)

    def __post_init__(self) -> None:
        nonnegative("weight_decay", self.weight_decay)

    @abstractmethod
    def recurrence(self, t: int) -> Recurrence: ...

    def direction(self, theta: Array, gradient: Array, state: Array, t: int, out: Array) -> None:
        keep, take, a, b = map(theta.dtype.type, self.recurrence(t))
        if self.vectors:
            updates.accumulate(state[0], gradient, keep, take)
        if not self.vectors:
            np.multiply(gradient, b, out=out)
        elif b:
            updates.combine(state[0], gradient, a, b, out)
        else:
            out[:] = state[0]
        add_decay(out, theta, self.weight_decay)

    @property
    def limit(self) -> StabilityLimit:
        keep, take, a, b = self.recurrence(2)
        bound = (1.0 + keep) / (a * take + b * (1.0 + keep))
        return StabilityLimit(2.0 * bound, self.weight_decay * bound)

    @property
    def first_limit(self) -> StabilityLimit:
        _, take, a, b = self.recurrence(1)
        bound = 1.0 / (a * take + b)
        return StabilityLimit(2.0 * bound, self.weight_decay * bound)

    @property
    def least_curvature(self) -> float:
        """Curvature of a quadratic below which theta grows at every eta: p(1) = 0."""
        keep, take, a, b = self.recurrence(2)
        return -self.weight_decay * (1.0 - keep) / (a * take + b * (1.0 - keep))


@dataclass(frozen=True)
class GD(LinearOptimizer):
    """u_t = g_t; SGD when given a batch size.

    On an eigenvalue z / eta of a quadratic an update multiplies by 1 - z, so it is stable iff
    0 < z < 2.

    Parameters
    ----------
    weight_decay : float
        kappa, at least 0; decoupled, times eta: theta' = (1 - eta kappa) theta - eta u. Here it
        equals an L2 penalty kappa |theta|^2 / 2, and the update is stable iff 0 < z + eta kappa <
        2.

    Raises
    ------
    InputError
        If a value is not allowed.
    """

    name: ClassVar[str] = "gd"
    vectors: ClassVar[int] = 0

    def recurrence(self, t: int) -> Recurrence:
        return Recurrence(keep=0.0, take=1.0, of_momentum=0.0, of_gradient=1.0)


@dataclass(frozen=True)
class Momentum(LinearOptimizer):
    """m_t = beta m_{t-1} + (1 - dampening) g_t, u_t = m_t: heavy ball, in PyTorch's form.

    Stable iff 0 < eta lambda < (2 + 2 beta) / (1 - dampening). The first update is a plain gradient
    step, so the loss may rise from 2 on without any instability.

    Parameters
    ----------
    beta : float in [0, 1)
        Momentum.
    dampening : float in [0, 1)
        Factor 1 - dampening on all gradients but the first, as in PyTorch: m_1 = g_1.
    ema : bool
        Use the moving average m_t = beta m_{t-1} + (1 - beta) g_t with m_0 = 0, as in Adam without
        bias correction. The trajectory is that of the default form at eta (1 - beta). Do not give
        ``dampening`` with it.
    weight_decay : float
        kappa, at least 0; decoupled, times eta: theta' = (1 - eta kappa) theta - eta u. Stable iff
        (1 - dampening) eta lambda < (1 + beta)(2 - eta kappa), for lambda > 0.

    Raises
    ------
    InputError
        If a value is not allowed.
    """

    name: ClassVar[str] = "momentum"

    beta: float = 0.9
    dampening: float = 0.0
    ema: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        fraction("momentum", self.beta)
        fraction("dampening", self.dampening)
        if self.ema and self.dampening:
            raise InputError("dampening", self.dampening, "is fixed by ema; leave it out")

    def recurrence(self, t: int) -> Recurrence:
        take = 1.0 - (self.beta if self.ema else self.dampening)
        spared = t == 1 and not self.ema
        return Recurrence(self.beta, 1.0 if spared else take, of_momentum=1.0, of_gradient=0.0)


@dataclass(frozen=True)
class Nesterov(LinearOptimizer):
    """m_t = beta m_{t-1} + g_t, u_t = g_t + beta m_t, m_0 = 0: PyTorch's form.

    Stable iff eta lambda < (2 + 2 beta) / (1 + 2 beta), which is below gradient descent's 2.

    Parameters
    ----------
    beta : float in [0, 1)
        Momentum.
    weight_decay : float
        kappa, at least 0; decoupled, times eta: theta' = (1 - eta kappa) theta - eta u. Stable iff
        (1 + 2 beta) eta lambda < (1 + beta)(2 - eta kappa), for lambda > 0.

    Raises
    ------
    InputError
        If a value is not allowed.
    """

    name: ClassVar[str] = "nesterov"

    beta: float = 0.9

    def __post_init__(self) -> None:
        super().__post_init__()
        fraction("momentum", self.beta)

    def recurrence(self, t: int) -> Recurrence:
        return Recurrence(self.beta, take=1.0, of_momentum=self.beta, of_gradient=1.0)
