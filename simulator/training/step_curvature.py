"""Directional and critical sharpness of the updates of a run, and which of them raised the loss."""

from __future__ import annotations

import math
from collections.abc import Collection

import numpy as np

from simulator.curvature.of_the_step import critical_bracket, quotient, sharpness_at
from simulator.models import Array, Objective
from simulator.training.probe import Probe
from simulator.training.rule import UpdateRule

__all__ = ["StepCurvature"]


class StepCurvature:
    """What is measured of updates about to be taken, on the samples that they see.

    Nothing of the run changes: see `Probe`.

    Attributes
    ----------
    curves : dict of arrays, shape (steps,)
        ``directional_sharpness`` and ``critical_sharpness``, if asked for; NaN where not measured.
    rises : array, shape (steps,)
        1 where an update raised the loss that it saw, 0 where it did not, NaN where not known.
    products, forward_passes : int
        What was spent.
    """

    # See `simulator.training.checkpoints`.
    CURVES = ("curves", "rises")
    MEMORY = ("_factors", "_probe")

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
        # eta_c over what was expected, at the last search: by whether u.Hu was known.
        self._factors = np.full(2, np.nan)

    @property
    def forward_passes(self) -> int:
        return self._probe.forward_passes

    @property
    def products(self) -> int:
        return self._probe.products

    def measure_at(
        self, step: int, theta: Array, gradient: Array, update: Array, loss: float, eta: float
    ) -> None:
        """Measure an update u_t (P,) before theta (P,) moves; gradient (P,) and loss are there."""
        probe, curves = self._probe, self.curves
        probe.at(step, theta, gradient, loss, update=update)
        bend = math.nan
        if "directional_sharpness" in curves:
            bend = probe.bend()
            curves["directional_sharpness"][step] = quotient(probe.slope(), bend)
        if "critical_sharpness" in curves:
            curves["critical_sharpness"][step] = self._critical(bend, loss, eta)

    def saw_after(self, step: int, theta: Array) -> None:
        """Note whether the update raised the loss of its samples, which are still selected."""
        if "critical_sharpness" in self.curves and self._probe.step == step:
            after = self._objective.loss(theta)
            self.rises[step] = not after <= self._probe.loss

    def _critical(self, bend: float, loss: float, eta: float) -> float:
        """2 / eta_c; infinite where the update begins uphill, NaN where the loss is level.

        The search begins at 2 u.g / u.Hu, times what eta_c was of that at the last one. Without
        u.Hu, |u|^2 is in its place.
        """
        slope = self._probe.slope()
        if not slope > 0:
            return math.inf if slope < 0 else math.nan
        measured = bend > 0
        expected = 2.0 * slope / (bend if measured else self._probe.length_squared())
        factor = self._factors[int(measured)]
        guess = expected * (1.0 if measured and math.isnan(factor) else factor)
        if math.isnan(guess):
            guess = self._probe.quadratic_guess()
        if not 0 < guess < math.inf:
            guess = eta if eta > 0 else 1.0
        sharpness = sharpness_at(critical_bracket(self._probe.loss_after, loss, guess))
        # Where it found none, the next one begins anew.
        found = 2.0 / sharpness / expected if sharpness else math.nan
        self._factors[int(measured)] = found
        return sharpness
