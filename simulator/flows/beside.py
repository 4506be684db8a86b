"""The references of the central flow: the run's smoothed iterates, and the stable flow."""

from __future__ import annotations

import numpy as np

from simulator.arrays import Array, Real
from simulator.data import Data
from simulator.flows.metric import Metric, metric_of
from simulator.models import Model, Objective
from simulator.optimizers import Optimizer
from simulator.seeding import generator
from simulator.training import UpdateRule

__all__ = ["Iterates", "StableFlow"]

# Of the power method; the safety factor of its estimate; and the largest useful number of stages.
_DIFFERENCE, _SAFETY, _MOST_STAGES = 1e-4, 1.3, 200


class Iterates:
    """The iterates theta_t of a run, and their mean (theta_{t-1} + 2 theta_t + theta_{t+1}) / 4.

    The mean removes an oscillation of period 2 exactly. At t = 0 it is theta_0.

    Attributes
    ----------
    mean : array, shape (P,)
    metric : Metric
        The metric before update t.
    """

    mean: Array
    metric: Metric

    def __init__(
        self, model: Model, data: Data | None, optimizer: Optimizer, theta0: Array, seed: int
    ) -> None:
        self._objective = model.bind(data)
        self._rule = UpdateRule(optimizer, model, self._objective, None, seed)
        self._theta, self._gradient = theta0.copy(), np.empty_like(theta0)
        self._objective.gradient(self._theta, self._gradient)
        self._rule.start(self._theta, self._gradient)
        self._metric = metric_of(optimizer, self._gradient)
        self._before: Array | None = None
        self._t = 0

    def advance(self, eta: float) -> None:
        """Take update t at this eta; ``mean`` is then that of t."""
        here = self._theta.copy()
        if self._t:
            self._objective.gradient(self._theta, self._gradient)
        self.metric = self._metric.copy()
        self._metric.observe(self._gradient, eta, 1.0)
        self._rule.step(self._theta, self._gradient, eta, self._t + 1)
        if self._before is None:
            self.mean = here
        else:
            self.mean = 0.25 * (self._before + 2.0 * here + self._theta)
        self._before, self._t = here, self._t + 1


class StableFlow:
    """dtheta/dt = -P^-1 g, with P held fixed within an update: no oscillation.

    Each update is a step of the second-order Runge-Kutta-Legendre method (Meyer, Balsara & Aslam,
    J. Comput. Phys. 257, 594, 2014), with as many stages as the sharpness requires, which nothing
    bounds here. The sharpness is estimated by one step of the power method, from the last
    direction.
    """

    def __init__(self, objective: Objective, theta: Array, metric: Metric, seed: int) -> None:
        self.theta, self._objective, self._metric = theta.copy(), objective, metric
        self._direction = generator(seed, "curvature").standard_normal(theta.size)
        self._stiffness = 0.0

    def advance(self, eta: float) -> None:
        """Integrate the flow over the time of one update."""
        start = self.theta
        g = self._gradient(start)
        rate = self._metric.observe(g, eta, 1.0)
        e = _DIFFERENCE / np.linalg.norm(self._direction)
        turned = rate * (self._gradient(start + e * self._direction) - g) / _DIFFERENCE
        stiffness = float(np.linalg.norm(turned))
        if not 0.0 < stiffness < np.inf:
            self.theta = start - rate * g
            return
        self._direction = turned
        self._stiffness = max(stiffness, 0.7 * self._stiffness)
        self.theta = self._step(start, -rate * g, rate, _stages(_SAFETY * self._stiffness))

    def _step(self, start: Array, first: Array, rate: Real, stages: int) -> Array:
        weight = 4.0 / (stages**2 + stages - 2)
        before, here = start, start + weight / 3.0 * first
        for j in range(2, stages + 1):
            b, b1, b2 = (_weight(i) for i in (j, j - 1, j - 2))
            mu, nu = (2 * j - 1) / j * b / b1, -(j - 1) / j * b / b2
            slope = -rate * self._gradient(here)
            moved = weight * mu * (slope - (1.0 - b1) * first)
            before, here = here, mu * here + nu * before + (1.0 - mu - nu) * start + moved
        return here

    def _gradient(self, theta: Array) -> Array:
        out = np.empty_like(theta)
        self._objective.gradient(theta, out)
        return out


def _weight(j: int) -> float:
    return 1.0 / 3.0 if j < 2 else (j * j + j - 2) / (2.0 * j * (j + 1))


def _stages(stiffness: float) -> int:
    """Number of stages for stability up to (s^2 + s - 2) / 2 of eta times the sharpness."""
    return min(max(3, int(np.ceil(0.5 * (np.sqrt(9.0 + 8.0 * stiffness) - 1.0)))), _MOST_STAGES)
