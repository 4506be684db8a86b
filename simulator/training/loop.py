"""The training loop: one model, one optimizer, one schedule, one seed."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from simulator.blas import one_blas_thread
from simulator.checks import InputError, one_of
from simulator.data import Data, as_data
from simulator.experiment import Experiment
from simulator.lending import read_only, refusing_writes
from simulator.measures import chosen_measures
from simulator.models import Array, Model
from simulator.optimizers import GD, Optimizer
from simulator.runs import Given, Run
from simulator.schedules import ETA_UNITS, Schedule, Warmup, unit_of
from simulator.timing import Stopwatch
from simulator.training.checkpoints import Checkpoint
from simulator.training.in_progress import Interrupted, RunInProgress, first_theta
from simulator.training.metrics import test_metrics
from simulator.training.rule import eta_critical
from simulator.training.single import batched_run, batched_single
from simulator.training.snapshot import Snapshot

__all__ = ["Interrupted", "simulate", "train"]


def simulate(
    model: Model | type[Model] | str,
    data: Data | str | Path | None = None,
    *,
    optimizer: Optimizer | type[Optimizer] | str | None = None,
    schedule: Schedule | type[Schedule] | str | float | None = None,
    steps: int = 512,
    seed: int = 0,
    eta_unit: str = "absolute",
    theta0: ArrayLike | None = None,
    batch_size: int | None = None,
    layer_rates: bool = False,
    rates: ArrayLike | None = None,
    sharpness_every: int = 1,
    top_k: int = 1,
    sharpness_tol: float = 1e-5,
    dtype: str = "float64",
    measure: Sequence[str] = ("sharpness",),
    batches: int = 32,
    batch_accuracy: float | None = None,
    batch_every: int | None = None,
    stop: Callable[[], bool] | None = None,
    callback: Callable[[Snapshot], None] | None = None,
) -> Run:
    """Train once and follow the sharpness.

    Parameters
    ----------
    model : Model
        An object, a class, or a name such as ``"mlp"``. Likewise the optimizer and the schedule.
    data : Data, optional
        Training data, or what `load_data` takes: ``"digits"``, a file. `Quadratic` needs none.
    optimizer : Optimizer
        Default `GD`.
    schedule : Schedule or float
        Learning rates; a number is a constant learning rate. Default ``Warmup()``:
        constant 1.
    steps : int
        Updates.
    seed : int
        Seed of the initial parameters, the batches and the solver's start vectors, which have
        independent random streams.
    eta_unit : {"absolute", "critical"}
        ``critical``: the learning rates of the schedule are multiples of `eta_critical`, the
        optimizer's instability threshold at initialisation (GD: 2 / sharpness).
    theta0 : array, shape (P,), optional
        Initial parameters; replaces those of the seed.
    batch_size : int, optional
        Samples in a batch, from a new shuffle every epoch, whose last batch may be smaller.
        Default: all samples.
    layer_rates : bool
        Multiply the learning rate of each layer by the factor of the model's parameterization (muP
        with an adaptive optimizer). The effective sharpness is then the preconditioned one, with P
        divided by the factors.
    rates : array, shape (P,), optional
        Learning-rate factor of each parameter; replaces ``layer_rates``.
    sharpness_every : int
        Updates between measurements of the sharpness. Further ones are made at events in between
        (see `simulator.training.due`) and after the last update; 0 measures nothing. `UV` on one
        example, where a closed form exists, is measured before every update, or never.
    top_k : int
        Number of eigenvalues.
    sharpness_tol : float
        Relative tolerance of the eigenvalues.
    dtype : {"float64", "float32"}
        Floating-point precision.
    measure : sequence of str
        Quantities to measure, of ``sharpness``, ``directional``, ``critical``, ``batch``, ``full``
        and ``interaction``; see `Run` for their curves. Default ``("sharpness",)``. ``directional``
        and ``critical`` are measured together with the sharpness, the last three every
        ``batch_every`` updates. Measuring does not change the training, bit for bit.
    batches : int
        Random batches per measurement of ``batch`` or ``interaction``. If there are at most 64
        different batches, each is used once instead.
    batch_accuracy : float, optional
        Relative standard error of the batch sharpness at which a measurement stops, after 16 to 512
        batches. Default: use ``batches`` batches.
    batch_every : int, optional
        Updates between measurements of ``batch``, ``full`` and ``interaction``. Default
        max(1, steps // 64).
    stop : callable, optional
        Called before each update; if it returns True, `Interrupted` is raised.
    callback : callable, optional
        Called with a `Snapshot` before each update. Batched `UV` models do not call it.

    Returns
    -------
    Run

    Raises
    ------
    InputError
        If an argument is invalid. A divergence is a result, not an error.

    Notes
    -----
    During the run, every BLAS of this process is limited to one thread.
    """
    experiment = Experiment(
        model=model,  # type: ignore[arg-type]
        optimizer=GD() if optimizer is None else optimizer,  # type: ignore[arg-type]
        schedule=Warmup() if schedule is None else schedule,  # type: ignore[arg-type]
        steps=steps, batch_size=batch_size, layer_rates=layer_rates,
        sharpness_every=sharpness_every, top_k=top_k, sharpness_tol=sharpness_tol,
        dtype=dtype, measure=chosen_measures(measure), batches=batches,
        batch_accuracy=batch_accuracy, batch_every=batch_every,
    )  # fmt: skip
    data = as_data(data)
    if one_of("eta_unit", eta_unit, ETA_UNITS) == "critical":
        if theta0 is not None:
            raise InputError("eta_unit", eta_unit, "is of the seed's own start; leave out theta0")
        factors = experiment.rates(data) if rates is None else rates
        found = eta_critical(
            experiment.model, data, experiment.optimizer, seed, experiment.dtype, factors
        )
        unit = unit_of(eta_unit, found)
        experiment = replace(experiment, schedule=experiment.schedule.at(unit))
    return train(experiment, data, seed, theta0=theta0, rates=rates, stop=stop, callback=callback)


def train(
    experiment: Experiment,
    data: Data | None = None,
    seed: int = 0,
    *,
    theta0: ArrayLike | None = None,
    rates: ArrayLike | None = None,
    stop: Callable[[], bool] | None = None,
    callback: Callable[[Snapshot], None] | None = None,
    start: Checkpoint | None = None,
) -> Run:
    """Train once, as an experiment describes.

    Parameters
    ----------
    experiment : Experiment
    data, seed, theta0, rates, stop, callback
        As in `simulate`; theta0 and rates of shape (P,).
    start : Checkpoint, optional
        Continue from this checkpoint, including its curves. For another optimizer or schedule, see
        `fork`.

    Returns
    -------
    Run

    Raises
    ------
    InputError
        For input that cannot be used.
    """
    stopwatch = Stopwatch()
    data = as_data(data)
    given = Given(data, _copied(theta0), _copied(rates), start)
    batched = batched_single(experiment, given)
    if batched is not None:
        if stop is not None and stop():
            raise Interrupted
        assert data is not None
        theta = first_theta(experiment, seed, given)
        return batched_run(experiment, data, seed, batched, theta, given)
    with one_blas_thread(), np.errstate(over="ignore", invalid="ignore"):
        going = RunInProgress(experiment, seed, given)
        going.advance(
            experiment.steps, stop, None if callback is None else _shown_to(callback, going)
        )
        return _finished(going, stopwatch)


def _copied(array: ArrayLike | None) -> Array | None:
    return None if array is None else np.array(array)


def _finished(going: RunInProgress, stopwatch: Stopwatch) -> Run:
    """The result of a run at its end."""
    experiment, record, objective = going.experiment, going.record, going.objective
    data, diverged_step = going.given.data, going.diverged_step
    objective.select(None)
    loss_final = record.finish(going.theta) if diverged_step < 0 else math.nan
    if diverged_step < 0 and not math.isfinite(loss_final):
        diverged_step, loss_final = experiment.steps, math.nan
    metrics = (
        (math.nan,) * 3
        if diverged_step >= 0
        else test_metrics(experiment.model, objective, going.theta, data)
    )
    return Run(
        experiment=experiment,
        seed=going.seed,
        loss=record.loss,
        eigenvalues=record.eigenvalues,
        preconditioned_sharpness=record.preconditioned,
        eta=going.eta,
        limit=going.rule.optimizer.limit,
        residual=record.residual,
        converged=record.converged,
        n_unconverged=record.n_unconverged,
        theta=going.theta,
        loss_init=going.loss_init,
        loss_final=loss_final,
        sharpness_final=record.sharpness_final,
        preconditioned_sharpness_final=record.preconditioned_final,
        diverged_step=diverged_step,
        accuracy_final=metrics[0],
        test_loss_final=metrics[1],
        test_accuracy_final=metrics[2],
        products=record.products + going.probe.products,
        forward_passes=going.probe.forward_passes,
        constant_loss=experiment.model.constant_loss(data),
        updates_per_epoch=going.updates_per_epoch,
        gradient_final=math.nan if diverged_step >= 0 else float(np.abs(record.gradient).max()),
        seconds=stopwatch.seconds(record.seconds),
        **record.curves(loss_final),
        given=going.given,
    )


def _shown_to(callback: Callable[[Snapshot], None], going: RunInProgress) -> Callable[[int], None]:
    """A function that calls ``callback`` at a step."""
    record, limit = going.record, going.rule.optimizer.limit
    pre = record.preconditioned
    sharpness = record.eigenvalues[:, 0] if pre is None else pre
    loss, sharpness, eta = (read_only(curve) for curve in (record.loss, sharpness, going.eta))
    measured = {name: read_only(curve) for name, curve in record.measured.items()}

    def show(step: int) -> None:
        with refusing_writes("callback"):
            callback(Snapshot(step, loss, sharpness, eta, limit, measured))

    return show
