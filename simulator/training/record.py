"""The curves of a run as they come."""

from __future__ import annotations

import math

import numpy as np

from simulator.curvature import Estimate, SharpnessTracker
from simulator.models import Array, Objective
from simulator.timing import timer
from simulator.training.due import Due
from simulator.training.rule import UpdateRule

__all__ = ["Record"]


class Record:
    """Loss, gradient and curvature at each step, and the curves that they make."""

    # See `simulator.training.checkpoints`.
    CURVES = ("loss", "eigenvalues", "preconditioned", "residual", "converged")
    MEMORY = (
        "n_unconverged", "products", "decisive", "still_since", "_due", "_tracker",
        "_preconditioned_tracker",
    )  # fmt: skip

    def __init__(
        self,
        objective: Objective,
        rule: UpdateRule,
        steps: int,
        top_k: int,
        every: int,
        sharpness_tol: float,
        seed: int,
        smooth_rows: int = 1,
    ) -> None:
        self._objective, self._rule, self._every = objective, rule, every
        self._due = Due(every, steps, rule.optimizer.limit, smooth_rows)
        self._tracker = SharpnessTracker(objective, top_k, sharpness_tol, seed) if every else None
        self._preconditioned_tracker = None
        self.preconditioned: Array | None = None
        if rule.preconditions:
            self.preconditioned = np.full(steps, np.nan)
            if every:
                self._preconditioned_tracker = SharpnessTracker(objective, 1, sharpness_tol, seed)
        self.gradient = np.empty(objective.size, dtype=objective.dtype)
        self.loss, self.residual = np.full(steps, np.nan), np.full(steps, np.nan)
        self.converged = np.full(steps, True)
        self.n_unconverged = 0
        self.eigenvalues = np.full((steps, top_k), np.nan)
        self.sharpness_final = self.preconditioned_final = math.nan
        self.decisive = math.nan  # of sharpness and pre-conditioned sharpness, the last measured
        self.products, self.seconds = 0, 0.0
        self.still_since = -1  # the step from which on theta stays where it is

    def loss_at(self, step: int, theta: Array) -> float:
        """Gradient and loss before this update; returns the loss."""
        self._theta = theta
        loss = self.loss[step] = self._objective.gradient(theta, self.gradient)
        return float(loss)

    def curvature_at(self, step: int, eta: float) -> None:
        """Where it is due, the curvature that this update meets."""
        if self._due.at(step, float(self.loss[step]), eta):
            self._measure_at(step)
            self._due.saw(step, self.decisive, eta)

    def repeat(self, step: int, until: int) -> None:
        """Fill the curves from this step up to another, as theta stays where it is."""
        if self.still_since < 0:
            self.still_since = step
        since = self.still_since
        self.loss[step:until] = self.loss[step]
        due = -(-since // self._every) * self._every if self._every else until
        if due < until:
            if due > since and due >= step:
                self._measure_at(due)
            rows = slice(due, until, self._every)
            self.eigenvalues[rows] = self.eigenvalues[due]
            self.residual[rows] = self.residual[due]
            self.converged[rows] = self.converged[due]
            if self.preconditioned is not None:
                self.preconditioned[rows] = self.preconditioned[due]

    def finish(self, theta: Array) -> float:
        """Gradient, loss and curvature after the last update; returns the loss."""
        self._theta = theta
        loss = self._objective.gradient(theta, self.gradient)
        if self._every and math.isfinite(loss):
            self.sharpness_final = float(self._measure().values[0])
            self.preconditioned_final = self._measure_preconditioned(len(self.loss) + 1)
        return loss

    def _measure_at(self, step: int) -> None:
        before = self.n_unconverged
        estimate = self._measure()
        self.eigenvalues[step] = estimate.values
        self.residual[step] = estimate.residual if estimate.converged else np.inf
        self.decisive = float(estimate.values[0])
        if self.preconditioned is not None:
            self.decisive = self.preconditioned[step] = self._measure_preconditioned(step + 1)
        self.converged[step] = self.n_unconverged == before

    def _measure(self) -> Estimate:
        assert self._tracker is not None
        return self._measure_by(self._tracker)

    def _measure_by(self, tracker: SharpnessTracker) -> Estimate:
        began = timer()
        estimate = tracker.measure(self._theta, self.gradient)
        self.products += estimate.products
        self.n_unconverged += not estimate.converged
        self.seconds += timer() - began
        return estimate

    def _measure_preconditioned(self, t: int) -> float:
        """Top eigenvalue of P^-1 H, P that of update ``t``; NaN where there is no P."""
        tracker = self._preconditioned_tracker
        if tracker is None:
            return math.nan
        tracker.preconditioner = self._rule.preconditioner(self.gradient, t)
        return float(self._measure_by(tracker).values[0])
