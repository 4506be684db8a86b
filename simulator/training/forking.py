"""Continue a run from one of its steps, with a change."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from simulator.blas import one_blas_thread
from simulator.checks import InputError, at_least, positive
from simulator.data import Data, as_data
from simulator.optimizers import Optimizer
from simulator.runs import Given, Run
from simulator.schedules import Scaled, Schedule
from simulator.training.checkpoints import Checkpoint
from simulator.training.in_progress import RunInProgress, first_theta
from simulator.training.loop import train
from simulator.training.single import batched_checkpoint, batched_single

__all__ = ["checkpoint", "fork"]


def checkpoint(run: Run, at: int, *, data: Data | None = None) -> Checkpoint:
    """The state of a run before an update, to fork from, save or load.

    The run is trained again up to that update, with bitwise the same result.

    Parameters
    ----------
    run : Run
    at : int
        Number of updates before: from 0 (or from the step of the run's own fork) to steps - 1.
    data : Data, optional
        Training data of the run, required if the run was pickled, which omits them.

    Returns
    -------
    Checkpoint

    Raises
    ------
    InputError
        If the run does not have the step or has diverged before, if the data differ, or if a
        user-defined schedule has a chooser that does not declare its state.
    """
    given = _given(run, data)
    first = 0 if given.start is None else given.start.step
    steps = len(run.loss)
    if not first <= at_least("at", at, 0) < steps:
        raise InputError("at", at, f"give a step from {first} to {steps - 1}")
    if 0 <= run.diverged_step <= at:
        raise InputError(
            "at", at, f"the run diverged at step {run.diverged_step}; give an earlier one"
        )
    if given.start is not None and at == first:
        return given.start
    batched = batched_single(run.experiment, given)
    with one_blas_thread(), np.errstate(over="ignore", invalid="ignore"):
        if batched is not None:
            theta = first_theta(run.experiment, run.seed, given)
            return batched_checkpoint(run.experiment, run.seed, given, batched, theta, at)
        going = RunInProgress(run.experiment, run.seed, given)
        going.advance(at)
        return going.checkpoint()


def fork(
    run: Run,
    *,
    at: int | Checkpoint,
    eta: float | None = None,
    batch_size: int | None = None,
    optimizer: Optimizer | None = None,
    schedule: Schedule | None = None,
    data: Data | None = None,
) -> Run:
    """Continue a run from one of its steps, with a change.

    Without a change, the result is bitwise the run itself.

    Parameters
    ----------
    run : Run
    at : int or Checkpoint
        The first update that is changed; 0 changes all. With a `Checkpoint` the run is not trained
        again up to there.
    eta : float, optional
        Factor on the learning rates from there on.
    batch_size : int, optional
        Samples in a batch, at most all. The batches are those of a run with this batch size at the
        same steps: the shuffle of epoch step // (updates per epoch), starting at the batch of this
        step.
    optimizer : Optimizer, optional
        Its state starts anew: momentum and averages are 0, and bias corrections count from there.
        The limit and the threshold of the result are those of this optimizer.
    schedule : Schedule, optional
        Evaluated at the step numbers of the run; a chooser starts anew. ``eta`` is a factor on it.
    data : Data, optional
        Training data of the run, required if the run was pickled, which omits them.

    Returns
    -------
    Run
        A run of all steps: its curves are those of ``run`` up to ``forked_at``, and new from there.

    Raises
    ------
    InputError
        As in `checkpoint`, or if a value is not allowed.
    """
    given = _given(run, data)
    start = at if isinstance(at, Checkpoint) else checkpoint(run, at, data=data)
    before = run.experiment
    changes: dict[str, Any] = {}
    if optimizer is not None and optimizer != before.optimizer:
        changes["optimizer"] = optimizer
        start = replace(start, state=None, t=0)
    if schedule is not None and schedule != before.schedule:
        changes["schedule"] = schedule
        start = replace(start, memory=_without(start, "chooser"))
    if eta is not None and positive("eta", eta) != 1.0:
        changes["schedule"] = _scaled(changes.get("schedule", before.schedule), eta)
    if batch_size is not None:
        changes["batch_size"] = batch_size
    experiment = replace(before, **changes)
    return train(
        experiment, given.data, run.seed, theta0=given.theta0, rates=given.rates, start=start
    )


def _given(run: Run, data: Data | None) -> Given:
    return run.given if data is None else run.given._replace(data=as_data(data))


def _scaled(schedule: Schedule, factor: float) -> Scaled:
    if isinstance(schedule, Scaled):
        return Scaled(schedule.schedule, schedule.factor * factor)
    return Scaled(schedule, factor)


def _without(start: Checkpoint, name: str) -> dict[str, Any]:
    return {key: v for key, v in start.memory.items() if not key.startswith(f"{name}.")}
