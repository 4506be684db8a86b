"""What the central flow is compared with: the run's own iterates, smoothed, and plain flow."""

from __future__ import annotations

import numpy as np

from simulator.arrays import Array
from simulator.data import Data
from simulator.flows.metric import Metric, metric_of
from simulator.models import Model, Objective
from simulator.optimizers import Optimizer
from simulator.training import UpdateRule

__all__ = ["Iterates", "StableFlow"]

# Error of the stable flow in an update, of the update's length; and steps that may fail to meet it.
_TOLERANCE = 1e-3
_MOST_STEPS = 500


class Iterates:
    """The iterates theta_t of a run, and their mean (theta_{t-1} + 2 theta_t + theta_{t+1}) / 4.

    The mean removes an oscillation of period 2 exactly. At t = 0 it is theta_0.

    Attributes
    ----------
    mean : array, shape (P,)
    metric : Metric
        As it was before update t.
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

    Bogacki and Shampine's pair of orders 3 and 2, whose error chooses the steps within an update.
    """

    def __init__(self, objective: Objective, theta: Array, metric: Metric) -> None:
        self.theta, self._objective, self._metric = theta.copy(), objective, metric
        self._step, self._slope = 1.0, self._gradient(theta)

    def advance(self, eta: float) -> None:
        """Follow the flow for the time of one update."""
        rate = self._metric.observe(self._slope, eta, 1.0)
        time, theta = 0.0, self.theta
        allowed = _TOLERANCE * float(np.linalg.norm(rate * self._slope))
        for _ in range(_MOST_STEPS):
            h = min(self._step, 1.0 - time)
            first = -rate * self._slope
            second = -rate * self._gradient(theta + 0.5 * h * first)
            third = -rate * self._gradient(theta + 0.75 * h * second)
            end = theta + h * (2.0 * first + 3.0 * second + 4.0 * third) / 9.0
            slope = self._gradient(end)
            fourth = -rate * slope
            error = h * (-5.0 * first + 6.0 * second + 8.0 * third - 9.0 * fourth) / 72.0
            off = float(np.linalg.norm(error)) / (allowed * h) if allowed > 0.0 else 0.0
            if off <= 1.0:
                time, theta, self._slope = time + h, end, slope
            elif not np.isfinite(off) and h < 1e-6:
                break
            growth = 0.9 * off**-0.5 if 0.0 < off < np.inf else (5.0 if off == 0.0 else 0.2)
            self._step = min(h * min(max(growth, 0.2), 5.0), 1.0)
            if time >= 1.0 - 1e-12:
                break
        self.theta = theta

    def _gradient(self, theta: Array) -> Array:
        out = np.empty_like(theta)
        self._objective.gradient(theta, out)
        return out
