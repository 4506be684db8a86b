"""The metric of an optimizer: the rate of each parameter, and its change by the oscillation.

An update is theta <- theta - rate * g with P = 1 / rate: eta for gradient descent, and
eta / (sqrt(v) + eps) for RMSProp, whose v follows the squared gradients slowly.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from copy import copy

import numpy as np

from simulator.arrays import Array, Real
from simulator.optimizers import GD, Optimizer, RMSProp

__all__ = ["FromFirstGradient", "Metric", "metric_of"]

# Added to the first squared gradient, so that no first step is infinite.
_LEAST = 1e-12


class FromFirstGradient(RMSProp):
    """RMSProp with v_0 = g_1^2 instead of 0, the start of `GIAdam`."""

    def start(self, theta: Array, gradient: Array, seed: int) -> Array:
        return gradient[None] ** 2 + _LEAST


class Metric(ABC):
    """The state of an optimizer in the flow."""

    def copy(self) -> Metric:
        """A copy in the same state."""
        return copy(self)

    @abstractmethod
    def observe(self, gradient: Array, eta: float, dt: float) -> Real:
        """Update the state with the gradient (P,); returns the rate, a number or (P,)."""

    def root(self, rate: Real, eta: float) -> tuple[Array | None, float]:
        """The root (P,) of the rate, for P^-1/2 H P^-1/2, and the scalar factor outside it."""
        return None, eta

    def stiffening(self, products: Array, eta_next: float, dt: float) -> Real:
        """The increase of B as the oscillation raises P; ``products`` (s, P) are of the u_i."""
        return 0.0

    def absorb(self, products: Array, x: Array, dt: float) -> Real:
        """Update the state with the oscillation's squared gradients; returns new over old rate."""
        return 1.0


class _Fixed(Metric):
    """Gradient descent: P = 1 / eta."""

    def observe(self, gradient: Array, eta: float, dt: float) -> Real:
        return eta


class _SecondMoment(Metric):
    """RMSProp. The oscillation has H u = 2 P u, so its mean squared gradient is 4 (P u)^2."""

    def __init__(self, optimizer: RMSProp, gradient: Array) -> None:
        self._beta, self._eps = optimizer.beta2, optimizer.eps
        self.v = gradient**2 + _LEAST

    def observe(self, gradient: Array, eta: float, dt: float) -> Real:
        self.v = self.v + dt * (1.0 - self._beta) * (gradient**2 - self.v)
        self._rate = eta / (np.sqrt(self.v) + self._eps)
        return self._rate

    def root(self, rate: Real, eta: float) -> tuple[Array | None, float]:
        return np.sqrt(rate), 1.0

    def _squares(self, products: Array) -> Array:
        return 4.0 * products / self._rate**2

    def stiffening(self, products: Array, eta_next: float, dt: float) -> Real:
        weights = dt * (1.0 - self._beta) / (np.sqrt(self.v) * eta_next)
        return (products * weights) @ self._squares(products).T

    def absorb(self, products: Array, x: Array, dt: float) -> Real:
        before = np.sqrt(self.v) + self._eps
        # A difference of nearly equal numbers may be negative.
        raised = self.v + dt * (1.0 - self._beta) * (x @ self._squares(products))
        self.v = np.maximum(raised, 0.0)
        return before / (np.sqrt(self.v) + self._eps)


def metric_of(optimizer: Optimizer, gradient: Array) -> Metric:
    """The metric of an optimizer whose first gradient (P,) this is."""
    if optimizer.adaptive:
        assert isinstance(optimizer, RMSProp)
        return _SecondMoment(optimizer, gradient)
    assert isinstance(optimizer, GD)
    return _Fixed()
