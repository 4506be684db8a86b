"""The critical learning rate, where one update raises the loss, and the largest that trains."""

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

# Whole runs are not tried below 2^-12 of the guess, where they are only slow, or above 2^20 of it.
_LEAST, _MOST = 2.0**-12, 2.0**20
# Where none of those below the guess trains, all may be slow: factors on it to try above. And how
# far below the largest that trains a hole is looked for.
_STEPS = (2.0**0.5, 2.0, 2.0**1.5, 4.0)


class Recommendation(NamedTuple):
    """Where to start a warmup, and why there, in one sentence without a full stop."""

    eta_init: float
    reason: str


class Saving(NamedTuple):
    """What the warmup eta_t = min(eta_init + eta_trgt t / t_wrm, eta_trgt) saves, in updates.

    Attributes
    ----------
    t_reach : float
        Updates to eta_trgt, by `theory.warmup.t_reach`.
    updates : int
        The same, counted in the schedule.
    saved : float
        What that is below t_wrm, by the closed form.
    t_save : float
        Less what the search cost, by `theory.warmup.t_save`; below 0 the search is not worth it.
    """

    t_reach: float
    updates: int
    saved: float
    t_save: float


@dataclass(frozen=True)
class Critical:
    """What `critical_learning_rate` found.

    Attributes
    ----------
    eta_c : float
        Smallest learning rate found at which one update from initialisation raises the loss: the
        upper end of ``bracket_c``. Infinite where none was found.
    eta_max : float
        Largest constant learning rate up to which training succeeds: the lower end of
        ``bracket_max``. Two octaves below are looked at in steps of sqrt 2. Infinite
        where nothing fails, 0 where nothing trains, NaN where it was not asked for.
    eta_critical : float
        The rate whose threshold is the sharpness at initialisation, `eta_critical`: for GD
        2 / sharpness.
    bracket_c, bracket_max : Bracket
        (lower, upper).
    forward_passes : int
        Losses evaluated to find eta_c, that of the gradient among them.
    products : int
        Hessian-vector products spent on the guess.
    updates : int
        Updates spent on eta_max: its runs times their steps.
    holes : tuple of float
        Learning rates above ``eta_max`` that failed below one that trains again, if any were seen.
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
        """Whether a warmup may start at eta_c: it exists, and training there does not fail."""
        return math.isfinite(self.eta_c) and not self.eta_c >= self.eta_max

    def recommendation(self, eta_trgt: float) -> Recommendation:
        """Start a warmup to eta_trgt at eta_c where that is usable, else at eta_trgt / 10.

        Kalra & Barkeshli 2024, section 6.1. That eta_c must be below eta_max is added here: the
        loss of one update may rise only where training has long failed. Raises `InputError` for an
        eta_trgt that is not positive.
        """
        eta_trgt = positive("eta_trgt", eta_trgt)
        if not self.usable:
            return Recommendation(eta_trgt / 10.0, self._obstacle())
        if eta_trgt <= self.eta_c:
            reason = f"eta_trgt is not above eta_c = {self.eta_c:.4g}: one update may take it"
            return Recommendation(eta_trgt, reason)
        return Recommendation(self.eta_c, f"one update raises the loss from {self.eta_c:.4g} on")

    def saving(self, eta_trgt: float, t_wrm: int) -> Saving:
        """What starting as recommended saves of a warmup from 0 to eta_trgt in t_wrm updates.

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
            return "no constant learning rate that was tried trains in so many updates"
        if math.isfinite(upper):
            failed = f"training has already failed (eta_max = {self.eta_max:.4g})"
            return f"one update raises the loss only at eta_c = {upper:.4g}, where {failed}"
        if math.isnan(upper):
            return "the loss at initialisation is not finite"
        if lower == 0.0:
            return "the first update at initialisation is zero"
        return f"one update raises the loss nowhere up to {lower:.4g}"


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
    """Search for the learning rate at which one update raises the loss, and for the largest to use.

    Each search finds one crossing. Where a larger rate lowers the loss again, or trains again,
    there are others.

    Parameters
    ----------
    model, data, optimizer, seed, batch_size, layer_rates, rates, dtype, stop
        As in `simulate`; rates of shape (P,). The update is its first: on the first batch, from the
        optimizer's fresh state. All losses compared are that batch's.
    method : {"two-way", "paper"}
        "two-way" doubles or halves from where a second-order expansion of the loss would put eta_c,
        one Hessian product; then it bisects. "paper" doubles from ``eta_0`` and halves the bracket
        until the loss rises by a fraction ``delta`` at most (Kalra & Barkeshli 2024, algorithms 1
        and 2).
    eta_0, delta : float
        Of the paper's method.
    tolerance : float
        Brackets end with upper / lower at most 1 + tolerance; that of eta_c by "two-way" only.
    eta_most : float
        Look no further.
    steps : int
        Updates of each run that looks for eta_max; 0 does not look.
    failure : {"untrained", "diverged"}
        What ends the runs' success: "untrained" once they do not beat the best constant output,
        which a dead network reaches with a finite loss; "diverged" only once the loss is infinite.

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
    """The first that a search can begin from."""
    return next((g for g in guesses if math.isfinite(g) and g > 0), ETA_0)


def _largest(
    fails: Callable[[float], bool], guess: float, tolerance: float, eta_most: float
) -> tuple[Bracket, tuple[float, ...]]:
    """The two-way search on whole runs, which may fail below what trains too: by slowness.

    Then down from there: what fails between rates that train is a hole, and the bracket is that of
    the lowest one's lower end.
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
