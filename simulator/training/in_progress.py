"""A run during training: the state that changes with every update, and how it continues."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from simulator.checks import InputError
from simulator.experiment import Experiment
from simulator.models import Array
from simulator.runs import Given
from simulator.schedules import ScaledChooser, Schedule
from simulator.training.batches import Batches
from simulator.training.checkpoints import Checkpoint, Memory, kept, restore
from simulator.training.probe import Probe
from simulator.training.record import Record
from simulator.training.rule import UpdateRule

__all__ = ["Interrupted", "RunInProgress", "check_start", "first_theta", "planned"]

# The parts of a run's memory: those of objects, and single numbers or arrays.
_RECORD, _CHOOSER = "record", "chooser"


class Interrupted(Exception):  # noqa: N818
    """The run was asked to stop before its last step."""


class RunInProgress:
    """A run between two updates, from its start or from a checkpoint.

    Parameters
    ----------
    experiment : Experiment
    seed : int
    given : Given

    Attributes
    ----------
    step : int
        Updates done.
    diverged_step : int
        -1 as long as the loss is finite.
    loss_init : float
        Loss on all samples before the first update.
    """

    def __init__(self, experiment: Experiment, seed: int, given: Given) -> None:
        model, data, dtype = experiment.model, given.data, experiment.dtype
        self.experiment, self.seed, self.given = experiment, seed, given
        self.objective = model.bind(data, dtype)
        self.theta = first_theta(experiment, seed, given)
        self.batches = Batches(self.objective.samples, experiment.batch_size, seed)
        rates = experiment.rates(data) if given.rates is None else given.rates
        self.rule = UpdateRule(experiment.optimizer, model, self.objective, rates, seed)
        self.eta = planned(experiment.schedule, experiment.steps)
        self.record = Record(
            experiment, data, self.objective, self.rule, seed, self.batches.per_epoch
        )
        choose = self._choose = experiment.schedule.chooser()
        self._remembers = choose.choose if isinstance(choose, ScaledChooser) else choose
        self.probe = Probe(self.objective, self.rule)
        self.step, self.diverged_step = 0, -1
        self.updates_per_epoch = self.batches.per_epoch
        if given.start is None:
            self.loss_init = self.objective.loss(self.theta)
        else:
            self._resume(given.start)

    def advance(
        self,
        until: int,
        stop: Callable[[], bool] | None = None,
        look: Callable[[int], None] | None = None,
    ) -> None:
        """Update theta in place for so many updates, or until the loss is not finite.

        A chooser's eta is filled in. ``stop`` and ``look`` are called before each update.
        """
        theta, eta, choose, record = self.theta, self.eta, self._choose, self.record
        for step in range(self.step, until):
            if stop is not None and stop():
                raise Interrupted
            self.batches.select(self.objective, step)
            loss = record.loss_at(step, theta)
            if not math.isfinite(loss):
                self.step = self.diverged_step = step
                return
            if not self.rule.started:
                self.rule.start(theta, record.gradient, step)
            # A dead network: no update moves it, so all remaining steps repeat this one.
            alone = self.batches.full and choose is None and look is None
            still = alone and self.rule.is_stationary(record.gradient)
            if not (still and record.still_since >= 0):
                record.curvature_at(step, float(eta[step]))
            if choose is not None:
                self.probe.at(step, theta, record.gradient, loss, record.decisive)
                eta[step:] = choose(self.probe)
            update = self.rule.advance(theta, record.gradient, step + 1)
            if not (still and record.still_since >= 0):
                record.of_the_step_at(step, update, float(eta[step]))
            if look is not None:
                look(step)
            if still:
                record.repeat(step, until)
                break
            self.rule.descend(theta, update, eta[step])
            record.saw_after(step, theta)
        self.step = until

    def preconditioner(self) -> Array | None:
        """P (P,) of the next update; None without a preconditioner."""
        if not self.rule.preconditions:
            return None
        self.batches.select(self.objective, self.step)
        gradient = np.empty_like(self.theta)
        self.objective.gradient(self.theta, gradient)
        if not self.rule.started:
            self.rule.start(self.theta, gradient, self.step)
        return self.rule.preconditioner(gradient, self.step + 1)

    def checkpoint(self) -> Checkpoint:
        """The state of the run, as a copy.

        Raises `InputError` if eta depends on a state that is not declared.
        """
        chooser = self._remembers
        if chooser is not None and not hasattr(chooser, "MEMORY"):
            raise InputError(
                "schedule", self.experiment.schedule.name,
                "its chooser has a state that it does not declare; define MEMORY",
            )  # fmt: skip
        memory: Memory = {
            "eta": self.eta[: self.step].copy(),
            "loss_init": np.array(self.loss_init),
            **kept(self.probe, self.step),
            "updates_per_epoch": np.array(self.updates_per_epoch),
        }
        for name, thing in ((_RECORD, self.record), (_CHOOSER, chooser)):
            memory |= {f"{name}.{key}": value for key, value in kept(thing, self.step).items()}
        data = self.given.data
        return Checkpoint(
            step=self.step, t=self.rule.updates_done(self.step), theta=self.theta.copy(),
            state=self.rule.state, seed=self.seed, data="" if data is None else data.digest,
            memory=memory,
        )  # fmt: skip

    def _resume(self, start: Checkpoint) -> None:
        check_start(start, self.experiment, self.seed, self.given)
        self.step, memory = start.step, start.memory
        if start.state is not None:
            self.rule.resume(start.state, start.step, start.t)
        self.eta[: start.step] = memory["eta"]
        self.loss_init = float(memory["loss_init"])
        restore(self.probe, memory, start.step)
        # The curves have the noise of the smaller batches.
        self.updates_per_epoch = max(self.updates_per_epoch, int(memory["updates_per_epoch"]))
        restore(self.record, start.part(_RECORD), start.step)
        restore(self._remembers, start.part(_CHOOSER), start.step)


def first_theta(experiment: Experiment, seed: int, given: Given) -> Array:
    """The initial parameters, as an array (P,) that the run owns."""
    # A copy, because a user's model may keep its result.
    if given.start is not None:
        name, theta = "checkpoint", given.start.theta.astype(experiment.dtype)
    elif given.theta0 is not None:
        name, theta = "theta0", _finite(given.theta0, experiment.dtype)
    else:
        name = "theta0"
        drawn = experiment.model.init(given.data, seed, experiment.dtype)
        theta = np.array(drawn, dtype=experiment.dtype)
    size = experiment.model.bind(given.data, experiment.dtype).size
    if theta.shape != (size,):
        raise InputError(name, f"of shape {theta.shape}", f"give shape ({size},)")
    return theta


def _finite(theta0: ArrayLike, dtype: str) -> Array:
    theta = np.array(theta0, dtype=dtype)
    if not np.isfinite(theta).all():
        raise InputError("theta0", "with NaN or infinite values", "give finite parameters")
    return theta


def planned(schedule: Schedule, steps: int) -> Array:
    """The values (steps,) of a schedule, as an array that the run owns."""
    eta = np.array(schedule.values(steps), dtype=float)
    if eta.shape != (steps,):
        raise InputError("schedule", f"with values of shape {eta.shape}", f"give shape ({steps},)")
    return eta


# What every checkpoint has.
_NEEDED = {"eta", "loss_init", "forward_passes", "updates_per_epoch"}


def check_start(start: Checkpoint, experiment: Experiment, seed: int, given: Given) -> None:
    """Raise InputError for a checkpoint of another run."""
    if start.step >= experiment.steps:
        remedy = f"the run has {experiment.steps} steps; give an earlier one"
        raise InputError("checkpoint", f"at step {start.step}", remedy)
    if start.seed != seed:
        raise InputError(
            "checkpoint", f"of seed {start.seed}", f"the run has seed {seed}; give that"
        )
    if start.data != ("" if given.data is None else given.data.digest):
        raise InputError("checkpoint", "of a run on other data", "give the data of that run")
    memory = start.memory
    if (
        not memory.keys() >= _NEEDED
        or memory["eta"].shape != (start.step,)
        or any(memory[name].shape for name in _NEEDED - {"eta"})
    ):
        raise InputError("checkpoint", "without its curves", "it is damaged; make it again")
