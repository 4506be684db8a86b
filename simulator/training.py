"""The training loop: one model, one optimizer, one schedule, one seed."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from simulator.blas import one_blas_thread
from simulator.checks import InputError, at_least, one_of
from simulator.curvature import Estimate, Tracker, sharpness
from simulator.data import Data
from simulator.models import Array, Model, Objective
from simulator.optimizers import GD, Optimizer
from simulator.runs import Run
from simulator.schedules import Warmup
from simulator.seeding import generator

__all__ = ["DTYPES", "Interrupted", "check_batch_size", "critical_eta", "simulate"]

DTYPES = ("float64", "float32")


class Interrupted(Exception):  # noqa: N818
    """The run was told to stop before its last step."""


def simulate(
    model: Model,
    data: Data | None = None,
    *,
    optimizer: Optimizer | None = None,
    schedule: Warmup | None = None,
    steps: int = 512,
    seed: int = 0,
    theta0: ArrayLike | None = None,
    batch_size: int | None = None,
    sharpness_every: int = 1,
    top_k: int = 1,
    accuracy: float = 1e-5,
    dtype: str = "float64",
    stop: Callable[[], bool] | None = None,
) -> Run:
    """Train once, following the sharpness.

    Parameters
    ----------
    model : Model
    data : Data, optional
        What models other than `Quadratic` train on.
    optimizer : Optimizer
        Default `GD`.
    schedule : Warmup
        Learning rates, absolute. Default ``Warmup()``: constant 1.
    steps : int
        Updates.
    seed : int
        Chooses the initial parameters, the batches and the solver's start vectors, each from a
        stream of its own.
    theta0 : array, shape (P,), optional
        Start here instead.
    batch_size : int, optional
        Samples an update sees, in the order of a new shuffle every epoch, whose last batch may be
        smaller. Default all.
    sharpness_every : int
        Measure before every so many updates, and after the last; 0 is never.
    top_k : int
        Eigenvalues to follow.
    accuracy : float
        Relative error aimed at in them.
    dtype : {"float64", "float32"}
        Precision of everything.
    stop : callable, optional
        Asked before each update; raise `Interrupted` once it says True.

    Returns
    -------
    Run

    Raises
    ------
    InputError
        For input that cannot be used. A divergence is a result, not an error.
    """
    at_least("steps", steps, 1)
    at_least("sharpness_every", sharpness_every, 0)
    at_least("top_k", top_k, 1)
    one_of("dtype", dtype, DTYPES)
    theta = model.init(data, seed, dtype) if theta0 is None else _start(theta0, dtype)
    objective = model.bind(data, dtype)
    if theta.shape != (objective.size,):
        raise InputError("theta0", f"of shape {theta.shape}", f"give shape ({objective.size},)")
    batches = _Batches(objective.samples, batch_size, seed)
    optimizer = optimizer or GD()
    eta = (schedule or Warmup()).values(steps)
    record = _Record(objective, steps, top_k, sharpness_every, accuracy, seed)
    with one_blas_thread(), np.errstate(over="ignore", invalid="ignore"):
        loss_init = objective.loss(theta)
        diverged_step = _train(theta, eta, objective, optimizer, batches, record, stop)
        objective.select(None)
        loss_final = record.finish(theta) if diverged_step < 0 else math.nan
        if diverged_step < 0 and not math.isfinite(loss_final):
            diverged_step = steps
        scores = (math.nan,) * 3 if diverged_step >= 0 else _scores(model, objective, theta, data)
    return Run(
        loss=record.loss,
        eigenvalues=record.eigenvalues,
        eta=eta,
        threshold=optimizer.threshold(eta),
        residual=record.residual,
        theta=theta,
        loss_init=loss_init,
        loss_final=loss_final,
        sharpness_final=record.sharpness_final,
        diverged_step=diverged_step,
        accuracy_final=scores[0],
        test_loss_final=scores[1],
        test_accuracy_final=scores[2],
        products=record.products,
        constant_loss=model.constant_loss(data),
    )


def critical_eta(
    model: Model, data: Data | None, optimizer: Optimizer, seed: int = 0, dtype: str = "float64"
) -> float:
    """The learning rate at which this optimizer's threshold is the sharpness at initialisation.

    For GD 2 / sharpness: the unit of ``--eta-unit critical``.
    """
    with one_blas_thread():
        theta = model.init(data, seed, dtype)
        return optimizer.critical_eta(sharpness(model, theta, data, seed=seed))


def check_batch_size(size: int, samples: int) -> None:
    """Refuse a batch that so many samples cannot fill."""
    at_least("batch_size", size, 1)
    if not samples:
        raise InputError("batch_size", size, "this model has no samples; leave it out")
    if size > samples:
        raise InputError("batch_size", size, f"there are {samples} samples; give at most those")


def _start(theta0: ArrayLike, dtype: str) -> Array:
    theta = np.array(theta0, dtype=dtype)
    if not np.isfinite(theta).all():
        raise InputError("theta0", "with NaN or infinite values", "give finite parameters")
    return theta


class _Batches:
    """Which samples each update sees; None is all of them."""

    def __init__(self, samples: int, size: int | None, seed: int) -> None:
        if size is not None:
            check_batch_size(size, samples)
        self._samples, self._seed = samples, seed
        self._size = None if size == samples else size
        self._epoch, self._order = -1, np.empty(0, dtype=np.intp)

    @property
    def full(self) -> bool:
        """Whether every update sees every sample."""
        return self._size is None

    def select(self, objective: Objective, step: int) -> None:
        """Show the objective the samples of this step."""
        if self._size is None:
            return
        epoch, position = divmod(step, -(-self._samples // self._size))
        if epoch != self._epoch:
            shuffle = generator(self._seed, "batches", epoch)
            self._epoch, self._order = epoch, shuffle.permutation(self._samples)
        objective.select(self._order[position * self._size : (position + 1) * self._size])


def _train(
    theta: Array,
    eta: Array,
    objective: Objective,
    optimizer: Optimizer,
    batches: _Batches,
    record: _Record,
    stop: Callable[[], bool] | None,
) -> int:
    """Update theta in place, once for every eta; returns the step of a divergence, or -1."""
    state = optimizer.start(theta)
    for step in range(len(eta)):
        if stop is not None and stop():
            raise Interrupted
        batches.select(objective, step)
        if not math.isfinite(record.step(step, theta)):
            return step
        if batches.full and not (record.gradient.any() or state.any()):
            # A dead network: no update will ever move it, so every step left repeats this one.
            record.repeat(step)
            break
        optimizer.step(theta, record.gradient, state, eta[step], step + 1)
    return -1


class _Record:
    """The curves of a run as they come."""

    def __init__(
        self, objective: Objective, steps: int, top_k: int, every: int, accuracy: float, seed: int
    ) -> None:
        self._objective, self._every = objective, every
        self._tracker = Tracker(objective, top_k, accuracy, seed) if every else None
        self.gradient = np.empty(objective.size, dtype=objective.dtype)
        self.loss, self.residual = np.full(steps, np.nan), np.full(steps, np.nan)
        self.eigenvalues = np.full((steps, top_k), np.nan)
        self.sharpness_final, self.products = math.nan, 0

    def step(self, step: int, theta: Array) -> float:
        """Gradient, loss and, where it is due, curvature before this update; returns the loss."""
        loss = self.loss[step] = self._objective.gradient(theta, self.gradient)
        if self._every and step % self._every == 0 and math.isfinite(loss):
            self._measure_at(step)
        return loss

    def repeat(self, step: int) -> None:
        """Fill the curves as theta will stay where it is from this step on."""
        self.loss[step:] = self.loss[step]
        due = -(-step // self._every) * self._every if self._every else len(self.loss)
        if due < len(self.loss):
            if due > step:
                self._measure_at(due)
            self.eigenvalues[due :: self._every] = self.eigenvalues[due]
            self.residual[due :: self._every] = self.residual[due]

    def finish(self, theta: Array) -> float:
        """Gradient, loss and curvature after the last update; returns the loss."""
        loss = self._objective.gradient(theta, self.gradient)
        if self._every and math.isfinite(loss):
            self.sharpness_final = float(self._measure().values[0])
        return loss

    def _measure_at(self, step: int) -> None:
        estimate = self._measure()
        self.eigenvalues[step], self.residual[step] = estimate.values, estimate.residual

    def _measure(self) -> Estimate:
        assert self._tracker is not None
        estimate = self._tracker.measure()
        self.products += estimate.products
        return estimate


def _scores(
    model: Model, objective: Objective, theta: Array, data: Data | None
) -> tuple[float, float, float]:
    """Training accuracy, test loss, test accuracy; NaN where there is no such thing."""
    if data is None:
        return math.nan, math.nan, math.nan
    accuracy = _accuracy(objective, theta, data.x, data.y) if data.classes else math.nan
    if data.test is None or data.y_test is None:
        return accuracy, math.nan, math.nan
    test_loss = model.bind(data.test, objective.dtype.name).loss(theta)
    test_accuracy = (
        _accuracy(objective, theta, data.test.x, data.y_test) if data.classes else math.nan
    )
    return accuracy, test_loss, test_accuracy


def _accuracy(objective: Objective, theta: Array, x: Array, labels: Array) -> float:
    outputs = objective.outputs(theta, x.astype(objective.dtype, copy=False))
    return math.nan if outputs is None else float(np.mean(outputs.argmax(axis=1) == labels))
