"""The central flow of a run, compared with the run."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulator.arrays import Array
from simulator.blas import one_blas_thread
from simulator.checks import InputError, at_least, count, positive
from simulator.curvature import LeadingPairs
from simulator.data import Data, as_data
from simulator.experiment import Experiment
from simulator.flows import doubts
from simulator.flows.beside import Iterates, StableFlow
from simulator.flows.curves import Curves
from simulator.flows.flow import FIRST, Flow
from simulator.flows.metric import FromFirstGradient, metric_of
from simulator.flows.third import has_kinks
from simulator.flows.update import Integrator
from simulator.models import Model
from simulator.models.base import checked_vector
from simulator.optimizers import GD, Optimizer, RMSProp
from simulator.schedules import Schedule, Warmup, as_schedule
from simulator.shipped import is_shipped
from simulator.timing import Stopwatch
from simulator.training import Interrupted, train

__all__ = ["central_flow", "described"]

# Updates between checks of the expansion.
_EXAMINE = 10
# Updates times kappa_1 from first contact to where `start="after"` starts: the delay of the first
# catapult is about 11, and some cycles follow.
_AFTER = 25.0


@dataclass(frozen=True)
class _Rates(Schedule):
    """Learning rates that were given individually."""

    name: ClassVar[str] = "rates"

    eta: tuple[float, ...] = ()

    def values(self, steps: int) -> NDArray[np.float64]:
        return np.array(self.eta[:steps])


def central_flow(
    model: Model,
    data: Data | None = None,
    *,
    optimizer: Optimizer | None = None,
    schedule: Schedule | ArrayLike | None = None,
    steps: int = 512,
    seed: int = 0,
    theta0: ArrayLike | None = None,
    start: int | str = 0,
    beside: bool = True,
    substeps: int = 1,
    difference: float = 1e-3,
    accuracy: float = 1e-5,
    max_rank: int = 12,
    stop: Callable[[], bool] | None = None,
    callback: Callable[[int], None] | None = None,
) -> Flow:
    """Integrate the central flow of a full-batch run, and compare it with the run.

    The central flow (Cohen, Damian, Talwalkar, Kolter & Lee, arXiv:2410.24206) is gradient flow
    plus the mean force of the oscillation at the edge of stability. The covariance of the
    oscillation keeps the sharpness at or below 2 / eta. The flow predicts time averages of a run:
    weights, sharpness and loss. It takes one semi-implicit step per update, and equals the run
    while no direction is at the edge.

    Parameters
    ----------
    model : Model
    data : Data, optional
        Training data; `Quadratic` needs none.
    optimizer : GD or RMSProp
        Default `GD`. RMSProp starts from v_0 = g_1^2, as `GIAdam` does.
    schedule : Schedule or array, shape (steps,)
        Absolute learning rates. Default ``Warmup()``: constant 1.
    steps : int
        Number of updates.
    seed : int
        Seed of the initial parameters and of the solver's start vectors.
    theta0 : array, shape (P,), optional
        Initial parameters; replaces those of the seed.
    start : int or "after"
        Number of updates of the optimizer before the flow starts, at the run's smoothed iterate.
        "after" starts it after the first catapult: 25 / kappa_1 updates after first contact.
    beside : bool
        Whether to train the run too, and measure the distance of the flow from it.
    substeps : int
        Steps of the flow per update. More than one integrate the flow more accurately, but agree
        worse with most runs. From 4 on the flow of some networks leaves the threshold, which
        ``doubts`` reports.
    difference : float
        Step of the gradient differences that give third derivatives. For ReLU it is at least the
        size of the oscillation, because the kinks within it contribute to the force.
    accuracy : float
        Relative tolerance of the eigenvalues.
    max_rank : int
        Largest number of directions that oscillate.
    stop : callable, optional
        Called before each update; if it returns True, `Interrupted` is raised.
    callback : callable, optional
        Called with the step before each update of the flow.

    Returns
    -------
    Flow

    Raises
    ------
    InputError
        If an argument is invalid, including other optimizers, minibatches, schedules that depend on
        the run, and single precision.
    """
    stopwatch, data = Stopwatch(), as_data(data)
    optimizer = described(GD() if optimizer is None else optimizer)
    planned = _planned(Warmup() if schedule is None else schedule, steps)
    experiment = Experiment(model=model, optimizer=optimizer, schedule=planned, steps=steps)
    options = _Options(
        count("substeps", substeps, 1), positive("difference", difference), accuracy,
        count("max_rank", max_rank, 1), stop, callback,
    )  # fmt: skip
    theta = _start_of(experiment.model, data, seed, theta0)
    with one_blas_thread(), np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        begin = start
        if isinstance(start, str):
            if start != "after":
                raise InputError("start", start, "give a number of updates, or after")
            first = _follow(experiment, data, seed, theta, 0, options, only_contact=True)
            begin = _behind(first)
        elif at_least("start", start, 0) >= steps:
            raise InputError("start", start, f"give fewer updates than steps, {steps}")
        flow = _follow(experiment, data, seed, theta, int(begin), options, beside=beside)
    flow = replace(flow, behind_catapult=isinstance(start, str))
    run = train(experiment, data, seed, theta0=theta0, stop=stop) if beside else None
    seconds = stopwatch.seconds() if run is None else stopwatch.seconds(run.seconds["curvature"])
    flow = replace(flow, run=run, seconds=seconds)
    return replace(flow, doubts=tuple(doubts.of(flow)))


class _Options(NamedTuple):
    """Options of the integration."""

    substeps: int
    difference: float
    accuracy: float
    max_rank: int
    stop: Callable[[], bool] | None
    callback: Callable[[int], None] | None


def described(optimizer: Optimizer) -> Optimizer:
    """The optimizer of the flow; raises `InputError` if its flow is not supported."""
    if is_shipped(optimizer):
        if decay := getattr(optimizer, "weight_decay", 0.0):
            raise InputError(
                "weight_decay", decay, "central flows support no weight decay; leave it out"
            )
        if type(optimizer) is GD:
            return optimizer
        if type(optimizer) is RMSProp:
            return FromFirstGradient(optimizer.beta2, optimizer.eps)
    raise InputError(
        "optimizer", optimizer.name,
        "central flows support gd and rmsprop; give one of them",
    )  # fmt: skip


def _planned(schedule: Schedule | ArrayLike, steps: int) -> Schedule:
    """The values of a schedule that does not depend on the run."""
    count("steps", steps, 1)
    if np.ndim(schedule) == 0:  # type: ignore[arg-type]
        schedule = as_schedule(schedule)
        if schedule.chooser() is not None or schedule.needs_sharpness:
            raise InputError(
                "schedule", schedule.name, "its rates depend on the run; give the run's eta instead"
            )
        eta = np.asarray(schedule.values(steps), dtype=float)
    else:
        eta = np.asarray(schedule, dtype=float)
        if eta.shape == (steps,):
            schedule = _Rates(tuple(eta.tolist()))
    if eta.shape != (steps,):
        raise InputError("schedule", f"with rates of shape {eta.shape}", f"give shape ({steps},)")
    if not (np.isfinite(eta) & (eta >= 0.0)).all():
        raise InputError("schedule", "with rates below 0 or not finite", "give rates of at least 0")
    assert isinstance(schedule, Schedule)
    return schedule


def _start_of(model: Model, data: Data | None, seed: int, theta0: ArrayLike | None) -> Array:
    if theta0 is None:
        return model.init(data, seed)
    if np.asarray(theta0).dtype == np.float32:
        raise InputError("theta0", "in float32", "third derivatives need float64; give that")
    theta = checked_vector("theta0", np.asarray(theta0, float), model.bind(data)).copy()
    if not np.isfinite(theta).all():
        raise InputError("theta0", "with NaN or infinite values", "give finite parameters")
    return theta


def _behind(first: Flow) -> int:
    """The update after the first catapult of a run, from its flow up to first contact."""
    steps, contact, kappa = len(first.eta), first.first_contact, first.kappa_1
    if contact < 0:
        raise InputError("start", "after", f"no direction is critical in {steps} updates; give 0")
    begin = contact + _AFTER / kappa if kappa > 0.0 else math.inf
    if begin >= steps - 1:
        raise InputError(
            "start", "after",
            f"the first catapult, from step {contact} on, is over by step {begin:.0f}; give more "
            "steps than that",
        )  # fmt: skip
    return round(begin)


def _follow(
    experiment: Experiment,
    data: Data | None,
    seed: int,
    theta: Array,
    start: int,
    options: _Options,
    *,
    beside: bool = False,
    only_contact: bool = False,
) -> Flow:
    """The flow from update ``start``; with ``contact`` only until shortly after first contact."""
    model, optimizer, steps = experiment.model, experiment.optimizer, experiment.steps
    eta = experiment.schedule.values(steps)
    objective, gradient = model.bind(data), np.empty_like(theta)
    loss = objective.gradient(theta, gradient)
    if not np.isfinite(loss):
        raise InputError("theta0", f"of loss {loss}", "give parameters of finite loss")
    iterates = Iterates(model, data, optimizer, theta, seed) if beside or start else None
    metric = metric_of(optimizer, gradient)
    for t in range(start):
        assert iterates is not None
        iterates.advance(eta[t])
    curves = Curves(steps, start, options.max_rank)
    for t in range(start, steps):
        if options.stop is not None and options.stop():
            raise Interrupted
        if options.callback is not None and not only_contact:
            options.callback(t)
        if iterates is not None:
            iterates.advance(eta[t])
        if t == start:
            if start:
                assert iterates is not None
                theta, metric = iterates.mean, iterates.metric
            pairs = LeadingPairs(objective, options.max_rank + 1, options.accuracy, seed)
            centre = Integrator(
                objective, theta, metric.copy(), pairs, options.difference,
                kinks=has_kinks(model),
            )  # fmt: skip
            stable = StableFlow(objective, theta, metric.copy(), seed) if beside else None
        if stable is not None:
            assert iterates is not None
            curves.compare(t, iterates.mean, theta, centre.theta, stable.theta)
            stable.advance(eta[t])
        update = centre.advance(
            eta[t], eta[min(t + 1, steps - 1)], options.substeps,
            examine=(t - start) % _EXAMINE == 0,
        )  # fmt: skip
        curves.note(t, update)
        if not np.isfinite(update.loss):
            break
        if only_contact and curves.since_contact(t) >= FIRST:
            break
    return Flow(
        experiment=experiment, seed=seed, start=start, eta=eta, limit=optimizer.limit, run=None,
        theta=centre.theta, gradients=centre.gradients, products=centre.products,
        max_rank=options.max_rank, seconds={}, **curves.finished(),
    )  # fmt: skip
