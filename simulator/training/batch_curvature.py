"""Batch sharpness, full sharpness and gradient-noise interaction along a run.

They use separate objectives, so that the objective of the training is not changed.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Iterator

import numpy as np

from simulator.checks import InputError
from simulator.curvature import SharpnessTracker
from simulator.curvature.of_batches import (
    Rows,
    all_batches,
    drawn_batches,
    gradients,
    mean_and_error,
)
from simulator.curvature.of_the_step import quotient, slope_and_bend
from simulator.data import Data
from simulator.experiment import Experiment
from simulator.measures import CURVES, OF_BATCHES
from simulator.models import Array
from simulator.seeding import generator

__all__ = ["BatchCurvature", "check_measure"]

# If there are at most so many batches, each is used once.
_EACH = 64
# Least and largest number of batches with batch_accuracy.
_LEAST, _MOST = 16, 512


def check_measure(measure: Collection[str], samples: int) -> None:
    """Raise InputError for batch measurements of a model without samples."""
    for name in ("batch", "interaction"):
        if name in measure and not samples:
            raise InputError("measure", name, "this model has no samples; leave it out")


class BatchCurvature:
    """Measurements over batches or on all samples.

    Parameters
    ----------
    experiment : Experiment
    data : Data or None
    seed : int
        Seed of the batches, drawn anew at each step, and of the eigenvalue solver's start vectors.

    Attributes
    ----------
    curves : dict of arrays, shape (steps,)
        The requested ones of ``batch_sharpness`` with ``batch_sharpness_error``, ``full_sharpness``
        and ``gradient_noise_interaction``; NaN where not measured.
    products, n_unconverged : int
        Number of Hessian-vector products, and of full sharpnesses that did not converge.

    Raises
    ------
    InputError
        If the model has no samples.
    """

    # See `simulator.training.checkpoints`.
    CURVES = ("curves",)
    MEMORY = ("products", "n_unconverged", "_tracker")

    def __init__(self, experiment: Experiment, data: Data | None, seed: int) -> None:
        asked = [name for name in OF_BATCHES if name in experiment.measure]
        self.curves = {
            curve: np.full(experiment.steps, np.nan) for name in asked for curve in CURVES[name]
        }
        self.products = self.n_unconverged = 0
        self._tracker: SharpnessTracker | None = None
        self._every, self._seed = experiment.updates_between_batches, seed
        if not asked:
            return
        self._count, self._accuracy = experiment.batches, experiment.batch_accuracy
        self._of_all = experiment.model.bind(data, experiment.dtype)
        samples = self._of_all.samples
        check_measure(asked, samples)
        self._samples, self._size = samples, experiment.batch_size or samples
        self._few = math.comb(samples, self._size) <= _EACH
        self._of_a_batch = experiment.model.bind(data, experiment.dtype)
        self._gradient, self._mean_gradient, self._product = np.empty(
            (3, self._of_all.size), dtype=self._of_all.dtype
        )
        self._tracker = SharpnessTracker(self._of_all, 1, experiment.sharpness_tol, seed)

    def is_due(self, step: int) -> bool:
        """Whether a measurement is due before this update."""
        return bool(self.curves) and step % self._every == 0

    def measure_at(self, step: int, theta: Array) -> None:
        """Measure at theta (P,), which is not changed."""
        curves = self.curves
        if "full_sharpness" in curves or "gradient_noise_interaction" in curves:
            self._of_all.gradient(theta, self._mean_gradient)
        if "full_sharpness" in curves:
            assert self._tracker is not None
            estimate = self._tracker.measure(theta, self._mean_gradient)
            self.products += estimate.products
            self.n_unconverged += not estimate.converged
            curves["full_sharpness"][step] = estimate.values[0]
        if "batch_sharpness" in curves or "gradient_noise_interaction" in curves:
            self._measure_batches(step, theta)

    def repeat(self, since: int, step: int, until: int, theta: Array) -> None:
        """Fill the curves from this step to another; theta (P,) has not changed since ``since``."""
        first = -(-since // self._every) * self._every
        if self.curves and first < until:
            if first > since and first >= step:
                self.measure_at(first, theta)
            for curve in self.curves.values():
                curve[first : until : self._every] = curve[first]

    def _measure_batches(self, step: int, theta: Array) -> None:
        curves, objective, gradient = self.curves, self._of_a_batch, self._gradient
        ratios, interactions = list[float](), list[float]()
        for _ in gradients(objective, theta, self._batches(step), gradient):
            if "gradient_noise_interaction" in curves:
                self._of_all.hvp(gradient, self._product)
                interactions.append(float(gradient @ self._product))
            if "batch_sharpness" in curves:
                ratios.append(quotient(*slope_and_bend(objective, gradient, gradient)))
                if self._is_enough(ratios):
                    break
        self.products += len(ratios) + len(interactions)
        if ratios:
            mean, error = mean_and_error(ratios)
            curves["batch_sharpness"][step] = mean
            curves["batch_sharpness_error"][step] = 0.0 if self._few else error
        if interactions:
            full = self._mean_gradient
            curves["gradient_noise_interaction"][step] = quotient(
                float(full @ full), float(np.mean(interactions))
            )

    def _batches(self, step: int) -> Iterator[Rows | None]:
        """The batches of a measurement; None means all samples."""
        if self._size == self._samples:
            return iter([None])
        if self._few:
            return all_batches(self._samples, self._size)
        drawn = drawn_batches(self._samples, self._size, generator(self._seed, "measured", step))
        return itertools.islice(drawn, _MOST if self._until_accurate else self._count)

    @property
    def _until_accurate(self) -> bool:
        return self._accuracy is not None and "batch_sharpness" in self.curves

    def _is_enough(self, ratios: list[float]) -> bool:
        """Whether the requested accuracy, if any, is reached."""
        if self._accuracy is None or self._few or len(ratios) < _LEAST:
            return False
        mean, error = mean_and_error(ratios)
        return error <= self._accuracy * abs(mean)
