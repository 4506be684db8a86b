"""A single run by the batched kernels of a sweep, but with its curves."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from simulator.checks import InputError
from simulator.data import Data
from simulator.experiment import Experiment
from simulator.models import Array, BatchedModel
from simulator.runs import Given, Run
from simulator.schedules import Warmup
from simulator.timing import Stopwatch
from simulator.training.checkpoints import Checkpoint
from simulator.training.ensemble import Ensemble, batched_for, train_batched
from simulator.training.in_progress import check_start, planned
from simulator.training.metrics import test_metrics

__all__ = ["batched_checkpoint", "batched_run", "batched_single"]

# The initial theta, in the memory of a checkpoint. A checkpoint continues by training again from
# there at the same learning rates: only this reproduces the kernels' lengths bit for bit.
_BEGAN = "theta0"


def batched_single(experiment: Experiment, given: Given) -> BatchedModel | None:
    """The batched trainer of a single run or its fork; None for the general loop."""
    start = given.start
    if given.rates is not None:
        return None
    if start is None:
        return batched_for(experiment, given.data)
    # The kernels take any learning rates known in advance, but no change of the optimizer.
    same = start.state is not None or start.step == 0
    if not same or _BEGAN not in start.memory or experiment.schedule.chooser() is not None:
        return None
    return batched_for(replace(experiment, schedule=Warmup()), given.data)


def batched_run(
    experiment: Experiment,
    data: Data,
    seed: int,
    batched: BatchedModel,
    theta: Array,
    given: Given | None = None,
) -> Run:
    """Train from theta (P,), which is not changed, or from the ``given`` checkpoint."""
    watch = Stopwatch()
    model, steps = experiment.model, experiment.steps
    given = Given(data) if given is None else given
    eta = planned(experiment.schedule, steps)
    if given.start is not None:
        check_start(given.start, experiment, seed, given)
        theta, before = given.start.memory[_BEGAN], theta
        if theta.shape != before.shape:
            raise InputError("checkpoint", f"of shape {theta.shape}", f"give shape {before.shape}")
        eta[: given.start.step] = given.start.memory["eta"]
    constant_loss = model.constant_loss(data)
    ensemble = _train(experiment, batched, theta, eta, constant_loss)
    ended = batched.end(theta[None], ensemble.states)[0]
    diverged = bool(ensemble.diverged[0])
    loss, sharpness = ensemble.curves[:, :, 0]
    accuracy, test_loss, test_accuracy = (
        (math.nan,) * 3 if diverged else test_metrics(model, model.bind(data), ended, data)
    )
    return Run(
        experiment=experiment,
        seed=seed,
        loss=loss,
        eigenvalues=sharpness[:, None],
        preconditioned_sharpness=None,
        eta=eta,
        limit=experiment.optimizer.limit,
        # The eigenvalues are from closed forms or dense matrices.
        residual=np.where(np.isfinite(sharpness), 0.0, np.nan),
        converged=np.full(steps, True),
        n_unconverged=0,
        theta=ended,
        loss_init=float(ensemble.loss_init[0]),
        loss_final=float(ensemble.loss_final[0]),
        sharpness_final=float(ensemble.sharpness_final[0]),
        preconditioned_sharpness_final=math.nan,
        diverged_step=int(ensemble.diverged_step[0]),
        accuracy_final=accuracy,
        test_loss_final=test_loss,
        test_accuracy_final=test_accuracy,
        products=0,
        forward_passes=0,
        constant_loss=constant_loss,
        seconds=watch.seconds(),
        given=given,
    )


def batched_checkpoint(
    experiment: Experiment, seed: int, given: Given, batched: BatchedModel, theta: Array, at: int
) -> Checkpoint:
    """The run from theta (P,) or from the ``given`` checkpoint, after ``at`` updates.

    The general loop can continue from it too.
    """
    eta = planned(experiment.schedule, experiment.steps)
    if given.start is not None:
        theta = given.start.memory[_BEGAN]
        eta[: given.start.step] = given.start.memory["eta"]
    states, curves = batched.begin(theta[None]), np.empty((2, 0))
    if at:
        ensemble = _train(experiment, batched, theta, eta[:at], None)
        states, curves = ensemble.states, ensemble.curves[:, :, 0]
    loss, sharpness = curves
    state = np.zeros((experiment.optimizer.vectors, theta.size))
    state[:] = batched.momentum(theta[None], states)
    measured = np.isfinite(sharpness)
    memory = {
        "eta": eta[:at],
        "loss_init": np.array(experiment.model.loss(theta, given.data)),
        "forward_passes": np.array(0),
        "updates_per_epoch": np.array(1),
        _BEGAN: theta.copy(),
        "record.loss": loss,
        "record.eigenvalues": sharpness[:, None],
        "record.residual": np.where(measured, 0.0, np.nan),
        "record.converged": np.full(at, True),
    }
    if measured.any():
        memory["record.decisive"] = sharpness[-1]
    assert given.data is not None
    return Checkpoint(
        step=at, t=at, theta=batched.end(theta[None], states)[0], state=state if at else None,
        seed=seed, data=given.data.digest, memory=memory,
    )  # fmt: skip


def _train(
    experiment: Experiment,
    batched: BatchedModel,
    theta: Array,
    eta: Array,
    constant_loss: float | None,
) -> Ensemble:
    """Train from theta (P,) at these learning rates (steps,)."""
    return train_batched(
        batched, batched.begin(theta[None]), np.array([[0.0], [1.0]]),
        np.stack([np.zeros_like(eta), eta])[None], np.zeros(1, np.intp), experiment.optimizer,
        measured=experiment.follows_sharpness, constant_loss=constant_loss, stride=1,
    )  # fmt: skip
