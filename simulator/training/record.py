"""Record the curves of a run during training."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from simulator import regimes
from simulator.curvature import Estimate, SharpnessTracker
from simulator.data import Data
from simulator.experiment import Experiment
from simulator.models import Array, Objective
from simulator.timing import timer
from simulator.training.batch_curvature import BatchCurvature
from simulator.training.due import Due
from simulator.training.rule import UpdateRule
from simulator.training.step_curvature import StepCurvature

__all__ = ["Record"]


class Record:
    """Loss, gradient and curvature at each step, and their curves."""

    # See `simulator.training.checkpoints`.
    CURVES = ("loss", "eigenvalues", "preconditioned", "residual", "converged")
    MEMORY = (
        "_unconverged", "_products", "decisive", "still_since", "_due", "_tracker",
        "_preconditioned_tracker", "_step_curvature", "_batch_curvature",
    )  # fmt: skip

    def __init__(
        self,
        experiment: Experiment,
        data: Data | None,
        objective: Objective,
        rule: UpdateRule,
        seed: int,
        updates_per_epoch: int = 1,
    ) -> None:
        steps, tol, top_k = experiment.steps, experiment.sharpness_tol, experiment.top_k
        every, followed = experiment.sharpness_every, experiment.follows_sharpness
        self._objective, self._rule, self._every = objective, rule, every
        self._full_batch = updates_per_epoch == 1
        smooth_rows = regimes.smooth_rows(updates_per_epoch)
        self._due = Due(every, steps, rule.optimizer.limit, smooth_rows)
        self._tracker = SharpnessTracker(objective, top_k, tol, seed) if followed else None
        self._preconditioned_tracker = None
        self.preconditioned: Array | None = None
        if rule.preconditions:
            self.preconditioned = np.full(steps, np.nan)
            if followed:
                self._preconditioned_tracker = SharpnessTracker(objective, 1, tol, seed)
        self._step_curvature = StepCurvature(objective, rule, steps, experiment.measure)
        self._batch_curvature = BatchCurvature(experiment, data, seed)
        self.gradient = np.empty(objective.size, dtype=objective.dtype)
        self.loss, self.residual = np.full(steps, np.nan), np.full(steps, np.nan)
        self.converged = np.full(steps, True)
        self._unconverged = 0
        self.eigenvalues = np.full((steps, top_k), np.nan)
        self.sharpness_final = self.preconditioned_final = math.nan
        self.decisive = math.nan  # the last measured effective sharpness
        self._products, self.seconds = 0, 0.0
        self._is_due = False
        self.still_since = -1  # the step from which theta is constant

    @property
    def products(self) -> int:
        """Number of Hessian-vector products."""
        return self._products + self._step_curvature.products + self._batch_curvature.products

    @property
    def n_unconverged(self) -> int:
        """Number of eigenvalues that did not converge."""
        return self._unconverged + self._batch_curvature.n_unconverged

    @property
    def measured(self) -> dict[str, Any]:
        """The curves besides the sharpness, by the names of `Run`'s attributes."""
        return self._step_curvature.curves | self._batch_curvature.curves

    def curves(self, loss_final: float) -> dict[str, Any]:
        """These curves, and which updates raised the loss."""
        of_the_step, found = self._step_curvature, self.measured
        if of_the_step.curves:
            rises = of_the_step.rises
            if self._full_batch:
                after = np.append(self.loss[1:], loss_final)
                rises = np.where(np.isfinite(self.loss), ~(after <= self.loss), np.nan)
            found["rises"] = rises
        return found

    def loss_at(self, step: int, theta: Array) -> float:
        """Compute gradient and loss before this update; returns the loss."""
        self._theta = theta
        loss = self.loss[step] = self._objective.gradient(theta, self.gradient)
        return float(loss)

    def curvature_at(self, step: int, eta: float) -> None:
        """Measure the curvature before this update, if due."""
        self._is_due = self._every > 0 and step % self._every == 0
        if self._tracker is not None:
            self._is_due = self._due.at(step, float(self.loss[step]), eta)
            if self._is_due:
                self._measure_at(step)
                self._due.note(step, self.decisive, eta)

    def of_the_step_at(self, step: int, update: Array, eta: float) -> None:
        """Measure the curvature along this update u_t (P,) and of batches, if due."""
        began = timer()
        if self._is_due and self._step_curvature.curves:
            loss = float(self.loss[step])
            self._step_curvature.measure_at(step, self._theta, self.gradient, update, loss, eta)
        if self._batch_curvature.is_due(step):
            self._batch_curvature.measure_at(step, self._theta)
        self.seconds += timer() - began

    def saw_after(self, step: int, theta: Array) -> None:
        """Note theta (P,) after this update; on the full batch its loss is that of the next one."""
        if not self._full_batch:
            self._step_curvature.saw_after(step, theta)

    def repeat(self, step: int, until: int) -> None:
        """Fill the curves from this step to another, while theta is constant."""
        if self.still_since < 0:
            self.still_since = step
        since = self.still_since
        self.loss[step:until] = self.loss[step]
        self._batch_curvature.repeat(since, step, until, self._theta)
        due = -(-since // self._every) * self._every if self._tracker else until
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
        """Compute gradient, loss and curvature after the last update; returns the loss."""
        self._theta = theta
        loss = self._objective.gradient(theta, self.gradient)
        if self._tracker and math.isfinite(loss):
            self.sharpness_final = float(self._measure().values[0])
            self.preconditioned_final = self._measure_preconditioned(len(self.loss) + 1)
        return loss

    def _measure_at(self, step: int) -> None:
        before = self._unconverged
        estimate = self._measure()
        self.eigenvalues[step] = estimate.values
        self.residual[step] = estimate.residual if estimate.converged else np.inf
        self.decisive = float(estimate.values[0])
        if self.preconditioned is not None:
            self.decisive = self.preconditioned[step] = self._measure_preconditioned(step + 1)
        self.converged[step] = self._unconverged == before

    def _measure(self) -> Estimate:
        assert self._tracker is not None
        return self._measure_by(self._tracker)

    def _measure_by(self, tracker: SharpnessTracker) -> Estimate:
        began = timer()
        estimate = tracker.measure(self._theta, self.gradient)
        self._products += estimate.products
        self._unconverged += not estimate.converged
        self.seconds += timer() - began
        return estimate

    def _measure_preconditioned(self, t: int) -> float:
        """Top eigenvalue of P^-1 H with the P of update ``t``; NaN without P."""
        tracker = self._preconditioned_tracker
        if tracker is None:
            return math.nan
        tracker.preconditioner = self._rule.preconditioner(self.gradient, t)
        return float(self._measure_by(tracker).values[0])
