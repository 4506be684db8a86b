"""One run as a batch of its own: by the same kernels as in a sweep, but with its curves."""

from __future__ import annotations

import math

import numpy as np

from simulator.data import Data
from simulator.experiment import Experiment
from simulator.models import Array, BatchedModel
from simulator.runs import Run
from simulator.schedules import Warmup
from simulator.timing import Stopwatch
from simulator.training.ensemble import train_batched
from simulator.training.metrics import test_metrics

__all__ = ["batched_run"]


def batched_run(
    experiment: Experiment, data: Data, seed: int, batched: BatchedModel, theta: Array
) -> Run:
    """Train from theta (P,), which stays as it is."""
    watch = Stopwatch()
    model, schedule, steps = experiment.model, experiment.schedule, experiment.steps
    assert isinstance(schedule, Warmup)
    constant_loss = model.constant_loss(data)
    ensemble = train_batched(
        batched, batched.begin(theta[None]), np.array([[schedule.eta_init], [schedule.eta_trgt]]),
        schedule.weights(steps)[None], np.zeros(1, np.intp), experiment.optimizer,
        measured=experiment.follows_sharpness, constant_loss=constant_loss, stride=1,
    )  # fmt: skip
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
        eta=schedule.values(steps),
        limit=experiment.optimizer.limit,
        # The eigenvalues are closed forms, or of dense matrices.
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
    )
