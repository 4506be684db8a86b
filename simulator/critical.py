"""The critical learning rate, at which one update raises the loss, and the largest that trains."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from simulator.blas import one_blas_thread
from simulator.catapult_search import (
    DELTA,
    ETA_0,
    TOLERANCE,
    Bracket,
    bisect,
    paper_search,
    two_way_search,
)
from simulator.checks import count, one_of, positive
from simulator.data import Data, as_data
from simulator.experiment import Experiment
from simulator.models import Model
from simulator.optimizers import GD, Optimizer
from simulator.runs import Run
from simulator.schedules import ModifiedWarmup, Warmup
from simulator.theory import warmup
from simulator.training import Probe, UpdateRule, eta_critical, train
from simulator.training.batches import Batches

__all__ = [
    "FAILURES", "METHODS", "Critical", "Recommendation", "Saving", "critical_learning_rate",
]  # fmt: skip

METHODS = ("two-way", "paper")
FAILURES: dict[str, Callable[[Run], bool]] = {
    "untrained": lambda run: not run.trainable,
    "diverged": lambda run: run.diverged,
}

# Whole runs are tried from 2^-12 of the guess, where they are only slow, to 2^20 of it.
_LEAST, _MOST = 2.0**-12, 2.0**20
# If no rate below the guess trains, all may be too slow: factors above it to try. Holes are
# searched down to this fraction of the largest rate that trains.
_STEPS = (2.0**0.5, 2.0, 2.0**1.5, 4.0)


class Recommendation(NamedTuple):
    """A start for a warmup, and the reason as a sentence without a full stop."""

    eta_init: float
    reason: str


class Saving(NamedTuple):
    """The updates that the warmup eta_t = min(eta_init + eta_trgt t / t_wrm, eta_trgt) saves.

    Attributes
    ----------
    t_reach : float
        Updates to eta_trgt, by `theory.warmup.t_reach`.
    updates : int
        The same, counted on the schedule.
    saved : float
        t_wrm minus t_reach, by the closed form.
    t_save : float
        ``saved`` minus the cost of the search, by `theory.warmup.t_save`; negative if the search
        costs more than it saves.
    """

    t_reach: float
    updates: int
    saved: float
    t_save: float


@dataclass(frozen=True)
class Critical:
    """The result of `critical_learning_rate`.

    Attributes
    ----------
    eta_c : float
        Smallest learning rate found at which one update from initialisation raises the loss: the
        upper end of ``bracket_c``. Infinite if none was found.
    eta_max : float
        Largest constant learning rate up to which training succeeds: the lower end of
        ``bracket_max``. The two octaves below it are checked in steps of sqrt 2. Infinite if no
        rate fails, 0 if none trains, NaN if it was not searched.
    eta_critical : float
        The learning rate at which the sharpness at initialisation equals the threshold; for GD 2 /
        sharpness. See `eta_critical`.
    bracket_c, bracket_max : Bracket
        (lower, upper).
    forward_passes : int
        Losses evaluated to find eta_c, including that of the gradient.
    products : int
        Hessian-vector products spent on the guess.
    updates : int
        Updates spent on eta_max: its runs times their steps.
    holes : tuple of float
        Learning rates above ``eta_max`` that fail although a larger one trains.
    """

    eta_c: float
    eta_max: float
    eta_critical: float
    bracket_c: Bracket
    bracket_max: Bracket
    forward_passes: int
    products: int
    updates: int
    holes: tuple[float, ...] = ()

    @property
    def usable(self) -> bool:
        """Whether a warmup may start at eta_c: it exists, and training there succeeds."""
        return math.isfinite(self.eta_c) and not self.eta_c >= self.eta_max

    def recommendation(self, eta_trgt: float) -> Recommendation:
        """Start a warmup to eta_trgt at eta_c if that is usable, else at eta_trgt / 10.

        Kalra & Barkeshli 2024, section 6.1. That eta_c must be below eta_max is added here: the
        loss after one update may rise only far above the rates at which training fails. Raises
        `InputError` for an eta_trgt that is not positive.
        """
        eta_trgt = positive("eta_trgt", eta_trgt)
        if not self.usable:
            return Recommendation(eta_trgt / 10.0, self._obstacle())
        if eta_trgt <= self.eta_c:
            below = f"eta_trgt is not above eta_c = {self.eta_c:.4g}"
            return Recommendation(
                eta_trgt, f"{below}, so one update at eta_trgt does not raise the loss"
            )
        return Recommendation(self.eta_c, f"above {self.eta_c:.4g} one update raises the loss")

    def saving(self, eta_trgt: float, t_wrm: int) -> Saving:
        """Updates saved by the recommended start of a warmup from 0 to eta_trgt in t_wrm updates.

        Raises `InputError` for an eta_trgt or t_wrm that is not positive.
        """
        eta_init = self.recommendation(eta_trgt).eta_init
        t_wrm = count("t_wrm", t_wrm, 1)
        ramp = ModifiedWarmup(eta_init, eta_trgt, t_wrm).values(t_wrm)
        return Saving(
            t_reach=float(warmup.t_reach(eta_init, eta_trgt, t_wrm)),
            updates=1 + int(np.argmax(ramp == eta_trgt)),
            saved=float(warmup.t_save(eta_init, eta_trgt, t_wrm, 0)),
            t_save=float(warmup.t_save(eta_init, eta_trgt, t_wrm, self.forward_passes)),
        )

    def _obstacle(self) -> str:
        lower, upper = self.bracket_c
        if math.isfinite(upper) and self.eta_max == 0.0:
            return "none of the constant learning rates that were tried trains in so many updates"
        if math.isfinite(upper):
            failed = f"training fails above eta_max = {self.eta_max:.4g}"
            return f"one update raises the loss only from eta_c = {upper:.4g} on, but {failed}"
        if math.isnan(upper):
            return "the loss at initialisation is not finite"
        if lower == 0.0:
            return "the first update at initialisation is zero"
        return f"no learning rate up to {lower:.4g} raises the loss in one update"


def critical_learning_rate(
    model: Model,
    data: Data | None = None,
    *,
    optimizer: Optimizer | None = None,
    seed: int = 0,
    method: str = "two-way",
    eta_0: float = ETA_0,
    delta: float = DELTA,
    tolerance: float = TOLERANCE,
    batch_size: int | None = None,
    layer_rates: bool = False,
    rates: ArrayLike | None = None,
    eta_most: float = math.inf,
    steps: int = 512,
    failure: str = "untrained",
    dtype: str = "float64",
    stop: Callable[[], bool] | None = None,
) -> Critical:
    """Find the learning rate at which one update raises the loss, and the largest usable rate.

    Each search finds one crossing. There are others if a still larger rate lowers the loss, or
    trains, again.

    Parameters
    ----------
    model, data, optimizer, seed, batch_size, layer_rates, rates, dtype, stop
        As in `simulate`; rates of shape (P,). The update is the first one of a run, on the first
        batch and from the optimizer's initial state. All losses are of that batch.
    method : {"two-way", "paper"}
        "two-way" starts at the eta_c of a second-order expansion of the loss (one Hessian-vector
        product), doubles or halves it, and bisects. "paper" doubles from ``eta_0`` and halves the
        bracket until the loss rises by a fraction ``delta`` at most (Kalra & Barkeshli 2024,
        algorithms 1 and 2).
    eta_0, delta : float
        Parameters of the paper's method.
    tolerance : float
        Searches end when upper / lower is at most 1 + tolerance; for eta_c with "two-way" only.
    eta_most : float
        Largest learning rate of the search.
    steps : int
        Updates of each run of the search for eta_max; 0 skips it.
    failure : {"untrained", "diverged"}
        When a run fails: "untrained" if it does not beat the best constant prediction (a dead
        network has its finite loss); "diverged" only if the loss is not finite.

    Returns
    -------
    Critical

    Raises
    ------
    InputError
        For input that cannot be used.
    """
    one_of("method", method, METHODS)
    one_of("failure", failure, FAILURES)
    count("steps", steps, 0)
    for name, value in (("eta_0", eta_0), ("delta", delta), ("tolerance", tolerance)):
        positive(name, value)
    if eta_most != math.inf:
        positive("eta_most", eta_most)
    experiment = Experiment(
        model=model, optimizer=optimizer or GD(), steps=max(steps, 1), batch_size=batch_size,
        layer_rates=layer_rates, sharpness_every=0, dtype=dtype,
    )  # fmt: skip
    model, data, optimizer = experiment.model, as_data(data), experiment.optimizer
    rates = experiment.rates(data) if rates is None else rates
    objective, theta = model.bind(data, dtype), model.init(data, seed, dtype)
    rule = UpdateRule(optimizer, model, objective, rates, seed)
    Batches(objective.samples, batch_size, seed).select(objective, 0)
    unit = eta_critical(model, data, optimizer, seed, dtype, rates)

    probe, gradient = Probe(objective, rule), np.empty_like(theta)
    with one_blas_thread(), np.errstate(over="ignore", invalid="ignore"):
        loss = objective.gradient(theta, gradient)
        rule.start(theta, gradient)
        probe.at(0, theta, gradient, loss)
        if not math.isfinite(loss):
            bracket = Bracket(math.nan, math.nan)
        elif not probe.moves():
            bracket = Bracket(0.0, math.inf)
        elif method == "paper":
            bracket = paper_search(
                probe.loss_after, loss, eta_0=eta_0, delta=delta, eta_most=eta_most
            )
        else:
            guess = _usable(probe.quadratic_guess(), unit)
            bracket = two_way_search(
                lambda eta: probe.loss_after(eta) > loss,
                guess,
                tolerance=tolerance,
                eta_most=eta_most,
            )

    runs = 0

    def fails(eta: float) -> bool:
        nonlocal runs
        runs += 1
        constant = replace(experiment, schedule=Warmup(eta_trgt=eta))
        run = train(constant, data, seed, rates=rates, stop=stop)
        return FAILURES[failure](run)

    largest, holes = Bracket(math.nan, math.nan), tuple[float, ...]()
    if steps:
        largest, holes = _largest(fails, _usable(bracket.upper, unit), tolerance, eta_most)
    return Critical(
        eta_c=bracket.upper,
        eta_max=largest.lower if largest.found or not steps else math.inf,
        eta_critical=unit,
        bracket_c=bracket,
        bracket_max=largest,
        forward_passes=1 + probe.forward_passes,
        products=probe.products,
        updates=runs * steps,
        holes=holes,
    )


def _usable(*guesses: float) -> float:
    """The first value from which a search can start."""
    return next((g for g in guesses if math.isfinite(g) and g > 0), ETA_0)


def _largest(
    fails: Callable[[float], bool], guess: float, tolerance: float, eta_most: float
) -> tuple[Bracket, tuple[float, ...]]:
    """The two-way search on whole runs, where rates that are too small fail too.

    Rates that fail below one that trains are holes; the bracket is that of the lowest hole.
    """
    least, most = min(_LEAST * guess, eta_most), min(_MOST * guess, eta_most)
    search = partial(two_way_search, fails, tolerance=tolerance, eta_least=least, eta_most=most)
    bracket = search(guess)
    if bracket.lower == 0.0:
        above = (guess * factor for factor in _STEPS if guess * factor <= most)
        trains = next((eta for eta in above if not fails(eta)), None)
        bracket = bracket if trains is None else search(trains)
    below = [(eta, fails(eta)) for eta in (bracket.lower / factor for factor in _STEPS) if eta > 0]
    while below and below[-1][1]:
        below.pop()  # too slow to train, not unstable
    holes = tuple(sorted(eta for eta, failed in below if failed))
    if holes:
        under = max(eta for eta, _ in below if eta < holes[0])
        bracket = bisect(fails, Bracket(under, holes[0]), tolerance)
    return bracket, holes
