"""Directional and critical sharpness of a run's updates, and whether they raised the loss."""

from __future__ import annotations

import math
from collections.abc import Collection

import numpy as np

from simulator.curvature.of_the_step import CriticalSearch, quotient
from simulator.models import Array, Objective
from simulator.training.probe import Probe
from simulator.training.rule import UpdateRule

__all__ = ["StepCurvature"]


class StepCurvature:
    """Measurements of the next update, on its batch.

    The run is not changed; see `Probe`.

    Attributes
    ----------
    curves : dict of arrays, shape (steps,)
        ``directional_sharpness`` and ``critical_sharpness``, if requested; NaN where not measured.
    rises : array, shape (steps,)
        1 where an update raised the loss of its batch, 0 where it did not, NaN where unknown.
    products, forward_passes : int
        Number of Hessian-vector products and of forward passes.
    """

    # See `simulator.training.checkpoints`.
    CURVES = ("curves", "rises")
    MEMORY = ("_search", "_probe")

    def __init__(
        self, objective: Objective, rule: UpdateRule, steps: int, measure: Collection[str]
    ) -> None:
        self._objective, self._probe = objective, Probe(objective, rule)
        self.curves = {
            f"{name}_sharpness": np.full(steps, np.nan)
            for name in ("directional", "critical")
            if name in measure
        }
        self.rises = np.full(steps, np.nan)
        self._search = CriticalSearch()

    @property
    def forward_passes(self) -> int:
        return self._probe.forward_passes

    @property
    def products(self) -> int:
        return self._probe.products

    def measure_at(
        self, step: int, theta: Array, gradient: Array, update: Array, loss: float, eta: float
    ) -> None:
        """Measure an update u_t (P,) before theta (P,) moves, given gradient (P,) and loss."""
        probe, curves = self._probe, self.curves
        probe.at(step, theta, gradient, loss, update=update)
        bend = math.nan
        if "directional_sharpness" in curves:
            bend = probe.bend()
            curves["directional_sharpness"][step] = quotient(probe.slope(), bend)
        if "critical_sharpness" in curves:
            curves["critical_sharpness"][step] = self._search.sharpness(probe, loss, eta, bend)

    def saw_after(self, step: int, theta: Array) -> None:
        """Note whether the update raised the loss of its batch, which is still selected."""
        if "critical_sharpness" in self.curves and self._probe.step == step:
            after = self._objective.loss(theta)
            self.rises[step] = not after <= self._probe.loss
