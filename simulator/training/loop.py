"""The training loop: one model, one optimizer, one schedule, one seed."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from simulator.blas import one_blas_thread
from simulator.checks import InputError
from simulator.data import Data
from simulator.experiment import Experiment
from simulator.lending import read_only, refusing_writes
from simulator.measures import chosen_measures
from simulator.models import Array, Model, Objective
from simulator.optimizers import GD, Optimizer
from simulator.runs import Run
from simulator.schedules import Chooser, Schedule, Warmup
from simulator.timing import Stopwatch
from simulator.training.batches import Batches
from simulator.training.ensemble import batched_for
from simulator.training.metrics import test_metrics
from simulator.training.probe import Probe
from simulator.training.record import Record
from simulator.training.rule import UpdateRule
from simulator.training.single import batched_run
from simulator.training.snapshot import Snapshot

__all__ = ["Interrupted", "simulate", "train"]


class Interrupted(Exception):  # noqa: N818
    """The run was told to stop before its last step."""


def simulate(
    model: Model,
    data: Data | None = None,
    *,
    optimizer: Optimizer | None = None,
    schedule: Schedule | None = None,
    steps: int = 512,
    seed: int = 0,
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
    """Train once, following the sharpness.

    Parameters
    ----------
    model : Model
    data : Data, optional
        What models other than `Quadratic` train on.
    optimizer : Optimizer
        Default `GD`.
    schedule : Schedule
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
    layer_rates : bool
        Each layer at the learning-rate factor of the model's parameterization: muP under an
        adaptive optimizer. The effective sharpness is then the pre-conditioned one, with P divided
        by the factors.
    rates : array, shape (P,), optional
        The factor of each parameter instead.
    sharpness_every : int
        Measure before every so many updates, where something happens in between (see
        `simulator.training.due`), and after the last; 0 is never. `UV` on one example, whose
        sharpness is a closed form, is measured before every update, or never.
    top_k : int
        Eigenvalues to follow.
    sharpness_tol : float
        Relative error aimed at in them.
    dtype : {"float64", "float32"}
        Precision of everything.
    measure : sequence of str
        What to measure, of ``sharpness``, ``directional``, ``critical``, ``batch``, ``full`` and
        ``interaction``; see `Run` for the curves of each. Default ``("sharpness",)``.
        ``directional`` and ``critical`` are measured where the sharpness is, the last three as
        ``batch_every`` says. Training stays the same bit for bit.
    batches : int
        Random batches in one measurement of ``batch`` or ``interaction``. Where there are at most
        64 different ones, each is taken once instead.
    batch_accuracy : float, optional
        Relative standard error of the batch sharpness at which a measurement stops, after 16 to
        512 batches. Default: always after ``batches``.
    batch_every : int, optional
        Updates between measurements of ``batch``, ``full`` and ``interaction``. Default
        max(1, steps // 64).
    stop : callable, optional
        Asked before each update; raise `Interrupted` once it says True.
    callback : callable, optional
        Called with a `Snapshot` before each update. Small `UV` models train as a whole, in less
        time than a person sees: they show nothing.

    Returns
    -------
    Run

    Raises
    ------
    InputError
        For input that cannot be used. A divergence is a result, not an error.

    Notes
    -----
    While the run goes on, every BLAS of this process is held to one thread.
    """
    experiment = Experiment(
        model=model, optimizer=optimizer or GD(), schedule=schedule or Warmup(), steps=steps,
        batch_size=batch_size, layer_rates=layer_rates, sharpness_every=sharpness_every,
        top_k=top_k, sharpness_tol=sharpness_tol, dtype=dtype, measure=chosen_measures(measure),
        batches=batches, batch_accuracy=batch_accuracy, batch_every=batch_every,
    )  # fmt: skip
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
) -> Run:
    """Do an experiment once.

    Parameters
    ----------
    experiment : Experiment
    data, seed, theta0, rates, stop, callback
        As in `simulate`; theta0 and rates of shape (P,).

    Returns
    -------
    Run

    Raises
    ------
    InputError
        For input that cannot be used.
    """
    stopwatch = Stopwatch()
    model, dtype, steps = experiment.model, experiment.dtype, experiment.steps
    # A copy: a user's model may keep what it gives.
    drawn = model.init(data, seed, dtype) if theta0 is None else _start(theta0, dtype)
    theta = np.array(drawn, dtype=dtype)
    objective = model.bind(data, dtype)
    if theta.shape != (objective.size,):
        raise InputError("theta0", f"of shape {theta.shape}", f"give shape ({objective.size},)")
    batches = Batches(objective.samples, experiment.batch_size, seed)
    batched = batched_for(experiment, data) if rates is None else None
    if batched is not None:
        assert data is not None
        if stop is not None and stop():
            raise Interrupted
        return batched_run(experiment, data, seed, batched, theta)
    schedule = experiment.schedule
    rates = experiment.rates(data) if rates is None else rates
    rule = UpdateRule(experiment.optimizer, model, objective, rates, seed)
    eta = _planned(schedule, steps)
    record = Record(experiment, data, objective, rule, seed, batches.per_epoch)
    with one_blas_thread(), np.errstate(over="ignore", invalid="ignore"):
        loss_init = objective.loss(theta)
        choose, probe = schedule.chooser(), Probe(objective, rule)
        look = None if callback is None else _shown_to(callback, record, eta, rule)
        diverged_step = _train(
            theta, eta, choose, probe, objective, rule, batches, record, stop, look
        )
        objective.select(None)
        loss_final = record.finish(theta) if diverged_step < 0 else math.nan
        if diverged_step < 0 and not math.isfinite(loss_final):
            diverged_step, loss_final = steps, math.nan
        metrics = (
            (math.nan,) * 3 if diverged_step >= 0 else test_metrics(model, objective, theta, data)
        )
    return Run(
        experiment=experiment,
        seed=seed,
        loss=record.loss,
        eigenvalues=record.eigenvalues,
        preconditioned_sharpness=record.preconditioned,
        eta=eta,
        limit=rule.optimizer.limit,
        residual=record.residual,
        converged=record.converged,
        n_unconverged=record.n_unconverged,
        theta=theta,
        loss_init=loss_init,
        loss_final=loss_final,
        sharpness_final=record.sharpness_final,
        preconditioned_sharpness_final=record.preconditioned_final,
        diverged_step=diverged_step,
        accuracy_final=metrics[0],
        test_loss_final=metrics[1],
        test_accuracy_final=metrics[2],
        products=record.products,
        forward_passes=probe.forward_passes,
        constant_loss=model.constant_loss(data),
        updates_per_epoch=batches.per_epoch,
        gradient_final=math.nan if diverged_step >= 0 else float(np.abs(record.gradient).max()),
        seconds=stopwatch.seconds(record.seconds),
        **record.curves(loss_final),
    )


def _start(theta0: ArrayLike, dtype: str) -> Array:
    theta = np.array(theta0, dtype=dtype)
    if not np.isfinite(theta).all():
        raise InputError("theta0", "with NaN or infinite values", "give finite parameters")
    return theta


def _planned(schedule: Schedule, steps: int) -> Array:
    """A schedule's values (steps,), in an array of the run's own."""
    eta = np.array(schedule.values(steps), dtype=float)
    if eta.shape != (steps,):
        raise InputError("schedule", f"with values of shape {eta.shape}", f"give shape ({steps},)")
    return eta


def _shown_to(
    callback: Callable[[Snapshot], None], record: Record, eta: Array, rule: UpdateRule
) -> Callable[[int], None]:
    """What shows a run, at the step that it is given."""
    pre = record.preconditioned
    sharpness = record.eigenvalues[:, 0] if pre is None else pre
    loss, sharpness, eta = (read_only(curve) for curve in (record.loss, sharpness, eta))
    measured = {name: read_only(curve) for name, curve in record.measured.items()}

    def show(step: int) -> None:
        with refusing_writes("callback"):
            callback(Snapshot(step, loss, sharpness, eta, rule.optimizer.limit, measured))

    return show


def _train(
    theta: Array,
    eta: Array,
    choose: Chooser | None,
    probe: Probe,
    objective: Objective,
    rule: UpdateRule,
    batches: Batches,
    record: Record,
    stop: Callable[[], bool] | None,
    look: Callable[[int], None] | None,
) -> int:
    """Update theta in place, once for every eta; returns the step of a divergence, or -1.

    Where there is a choice of eta, it is filled in.
    """
    for step in range(len(eta)):
        if stop is not None and stop():
            raise Interrupted
        batches.select(objective, step)
        loss = record.loss_at(step, theta)
        if not math.isfinite(loss):
            return step
        if step == 0:
            rule.start(theta, record.gradient)
        record.curvature_at(step, float(eta[step]))
        if choose is not None:
            probe.at(step, theta, record.gradient, loss, record.decisive)
            eta[step:] = choose(probe)
        alone = batches.full and choose is None and look is None
        still = alone and rule.is_stationary(record.gradient)
        update = rule.advance(theta, record.gradient, step + 1)
        record.of_the_step_at(step, update, float(eta[step]))
        if look is not None:
            look(step)
        if still:
            # A dead network: no update will ever move it, so every step left repeats this one.
            record.repeat(step)
            break
        rule.descend(theta, update, eta[step])
        record.saw_after(step, theta)
    return -1
