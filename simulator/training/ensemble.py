"""Many runs of one small model as one batch, summarised without their curves.

The verdicts of `simulator.regimes` use features that `simulator.numerics.summaries` collects during
training; for a single `Run` they come from its curves. ``tests/test_ensemble.py`` compares the two.
If the features of a run do not suffice, its curves are used.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator import regimes
from simulator.data import Data
from simulator.experiment import Experiment
from simulator.limits import StabilityLimit
from simulator.models import Array, BatchedModel
from simulator.numerics import batched as kernels
from simulator.numerics.summaries import ROWS
from simulator.optimizers import Optimizer, has_recurrence
from simulator.schedules import Warmup
from simulator.shipped import is_shipped

__all__ = ["Ensemble", "batched_for", "train_batched"]

# The names, which runs refer to by index.
_PHASES, _OUTCOMES = (
    np.array([*words], dtype=object) for words in (regimes.NATURAL_PHASES, regimes.OUTCOMES)
)


@dataclass(frozen=True, eq=False)
class Ensemble:
    """The results of many runs, under the names of `Run`'s attributes, each (runs,).

    Attributes
    ----------
    states : array, shape (state rows, runs)
        After the last update.
    summary : array, shape (rows, runs)
        Features by the names in `simulator.numerics.summaries.ROWS`.
    curves : array, shape (2, steps, runs)
        Loss and sharpness before each ``stride``-th update, or (2, 0, 0).
    eta_ends, weights, schedule : arrays, shapes (2, runs), (schedules, 2, steps) and (runs,)
        The parts of eta_t; see `train_batched`.
    metrics : array, shape (3, runs)
        Training accuracy, test loss, test accuracy; NaN where not asked for.
    """

    states: Array
    summary: Array
    curves: Array
    eta_ends: Array
    weights: Array
    schedule: NDArray[np.intp]
    limit: StabilityLimit
    measured: bool
    constant_loss: float | None
    metrics: Array

    @property
    def runs(self) -> int:
        """Number of runs."""
        return self.states.shape[1]

    @property
    def steps(self) -> int:
        """Number of updates of each run."""
        return self.weights.shape[2]

    @property
    def loss(self) -> Array:
        return self.curves[0].T

    @property
    def sharpness(self) -> Array:
        return self.curves[1].T

    @property
    def eta(self) -> Array:
        eta_init, eta_trgt = self.eta_ends
        of_init, of_trgt = self.weights[self.schedule].swapaxes(0, 1)
        return eta_init[:, None] * of_init + eta_trgt[:, None] * of_trgt

    @property
    def threshold(self) -> Array:
        return self.limit.sharpness(self.eta)

    @property
    def accuracy_final(self) -> Array:
        return self.metrics[0]

    @property
    def test_loss_final(self) -> Array:
        return self.metrics[1]

    @property
    def test_accuracy_final(self) -> Array:
        return self.metrics[2]

    def _of(self, name: str) -> Array:
        return self.summary[ROWS[name]]

    @property
    def diverged_step(self) -> Array:
        return self._of("diverged").astype(np.int64)

    @property
    def diverged(self) -> Array:
        return self.diverged_step >= 0

    @property
    def loss_init(self) -> Array:
        return self._of("loss_init")

    @property
    def loss_final(self) -> Array:
        return self._of("loss_final")

    @property
    def loss_max(self) -> Array:
        return np.fmax(
            np.where(self.diverged_step == 0, np.nan, self._of("loss_max")), self.loss_final
        )

    def _measured(self, values: Array) -> Array:
        return np.where(self.measured & (self.diverged_step != 0), values, np.nan)

    @property
    def sharpness_init(self) -> Array:
        return self._measured(self._of("sharpness_init"))

    @property
    def sharpness_final(self) -> Array:
        return self._measured(self._of("sharpness_final"))

    @property
    def sharpness_max(self) -> Array:
        return np.fmax(self._measured(self._of("sharpness_max")), self.sharpness_final)

    @property
    def n_catapults(self) -> NDArray[np.int64]:
        # After an excursion that kills a network its loss is constant.
        ended = self._of("ended")
        killed = (ended > 0) & (ended < self.steps) & (self._of("changed") <= ended)
        return (self._of("catapults") - (killed & ~self.diverged)).astype(np.int64)

    @property
    def n_unconverged(self) -> NDArray[np.int64]:
        # The eigenvalues are from closed forms or dense matrices.
        return np.zeros(len(self.loss_init), dtype=np.int64)

    @property
    def natural_phase(self) -> Array:
        below = self._of("below")
        return _PHASES[regimes.phase_of(regimes.Evolution(
            below, self._of("sharpness_init"), self._of("sharpness_below"), self._of("low"),
            self._of("low_at"), self._of("high"), self._of("high_at"), below - 1,
        ))]  # fmt: skip

    @property
    def trainable(self) -> Array:
        reference = self.constant_loss if self.constant_loss else self.loss_init
        last = min(regimes.LAST_LOSSES, self.steps + 1)
        below = self._of("trained") + (self.loss_final < regimes.target(reference))
        return ~self.diverged & (below > regimes.MOST * last)

    @property
    def outcome(self) -> Array:
        first, high = regimes.first_late(self.steps), self._of("late_sharpness_max")
        rows = self.steps - first
        with np.errstate(divide="ignore", invalid="ignore"):
            variation = (high - self._of("late_sharpness_min")) / high
        seen = regimes.Ending(
            mean_ratio=self._of("late_ratio_sum") / rows,
            entries=self._of("entries"),
            rises=self._of("rises") / max(self.steps - max(first, 1), 1),
            variation=np.where(high > 0, variation, 0.0),
        )
        edge = regimes.is_at_edge(seen, loss_tells=self.limit.memoryless)
        outcome = regimes.outcome_of(
            diverged=self.diverged,
            trained=self.trainable,
            stuck=~self.trainable & (self.steps >= regimes.LAST_LOSSES),
            measured=self.measured,
            still=regimes.is_still(
                self._of("late_loss_max"), self._of("late_loss_min"), self.loss_init, rows
            ),
            ratio_final=self._ratio_final,
            edge=edge & (self._of("ratio_max") > 1),
            n_catapults=self.n_catapults,
        )
        return _OUTCOMES[outcome]

    @property
    def _ratio_final(self) -> Array:
        of_init, of_trgt = self.weights[self.schedule, :, -1].T
        eta = self.eta_ends[0] * of_init + self.eta_ends[1] * of_trgt
        final = self.limit.ratio(self.sharpness_final, eta)
        return np.where(np.isfinite(final), final, self._of("ratio_last"))

    @property
    def unsettled(self) -> NDArray[np.intp]:
        """The runs that need their curves: finite loss, but a sharpness that is not finite."""
        known = self._of("sharpness_max") + self._of("sharpness_below")
        return np.flatnonzero(~np.isfinite(known))


def batched_for(experiment: Experiment, data: Data | None) -> BatchedModel | None:
    """The batched trainer for such runs, or None.

    The batched trainer represents optimizer and schedule by numbers and the model by kernels in
    double precision. Subclasses and runs with other measurements than the sharpness use the general
    loop; the last digits of such a run may differ from those of the same run without the
    measurements.
    """
    plain = (
        is_shipped(experiment.schedule, Warmup)
        and not experiment.schedule.options()["eta_end"]  # else not a multiple of eta_trgt
        and has_recurrence(experiment.optimizer)
        and not experiment.layer_rates
        and experiment.only_sharpness
        and (experiment.dtype, experiment.top_k) == ("float64", 1)
        and experiment.batch_size in (None, data.samples if data else None)
    )
    return experiment.model.batched(data) if plain and is_shipped(experiment.model) else None


def train_batched(
    batched: BatchedModel,
    begin: Array,
    eta_ends: Array,
    weights: Array,
    schedule: NDArray[np.intp],
    optimizer: Optimizer,
    *,
    measured: bool,
    constant_loss: float | None,
    stride: int = 0,
) -> Ensemble:
    """Train from each state.

    Parameters
    ----------
    batched : BatchedModel
        The model.
    begin : array, shape (state rows, runs)
        States before the first update.
    eta_ends : array, shape (2, runs)
        eta_init and eta_trgt.
    weights : array, shape (schedules, 2, steps)
        Coefficients of the two in eta_t, by schedule; see `Warmup.weights`.
    schedule : array, shape (runs,)
        Index of the schedule of each run. Neighbours with the same schedule that diverge at about
        the same time train fastest.
    optimizer : Optimizer
        One with a `recurrence`.
    measured : bool
        Whether to measure the sharpness at every step, by its closed form.
    constant_loss : float or None
        Loss of the best constant output.
    stride : int
        Keep loss and sharpness of every ``stride``-th step; 0 keeps none.
    """
    steps, runs = weights.shape[2], begin.shape[1]
    first, then = optimizer.recurrence(1), optimizer.recurrence(2)
    limit = optimizer.limit
    assert first is not None
    assert then is not None
    assert limit.decay == 0.0
    thresholds = (
        1.0 / limit.over_eta, regimes.RISE, regimes.TREND, regimes.GAIN, constant_loss or 0.0,
    )  # fmt: skip
    found = np.zeros((begin.shape[0] + len(ROWS), runs))
    rows = -(-steps // stride) if stride else 0
    curves = np.full((2, rows, runs if stride else 0), np.nan)
    buffers = kernels.buffers()
    # One more: the state after the last update is measured as if another update followed.
    padded = np.concatenate([weights, weights[:, :, -1:]], axis=2)
    with np.errstate(over="ignore", invalid="ignore"):
        kernels.train(
            *batched.problem, np.ascontiguousarray(eta_ends), padded, schedule, tuple(first),
            tuple(then), measured, regimes.first_late(steps), steps + 1 - regimes.LAST_LOSSES,
            thresholds, begin, found, curves, max(stride, 1), *buffers,
        )  # fmt: skip
    split = begin.shape[0]
    lost = (found[split + ROWS["diverged"]] < 0) & ~np.isfinite(found[split + ROWS["loss_final"]])
    found[split + ROWS["diverged"], lost] = steps
    found[split + ROWS["loss_final"], lost] = np.nan
    found[split + ROWS["sharpness_final"], lost] = np.nan
    return Ensemble(
        states=found[:split], summary=found[split:], curves=curves, eta_ends=eta_ends,
        weights=weights, schedule=schedule, limit=limit, measured=measured,
        constant_loss=constant_loss, metrics=np.full((3, runs), np.nan),
    )  # fmt: skip
