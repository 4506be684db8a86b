"""The definitions of what happens in a run, as functions of its curves.

Curves are per step and hold values before that step's update; a sharpness that was not measured is
NaN. ``ratio`` is sharpness / threshold, and a quadratic with this Hessian is unstable where it
exceeds 1.

Each definition has two parts: features of a curve, and a verdict on them. Batched runs keep no
curves: `simulator.numerics.summaries` collects the same features during training, and
`simulator.training.ensemble` passes them to the same verdicts, which work elementwise.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "AT_THRESHOLD", "EDGE_MEAN", "GAIN", "LAST_LOSSES", "MOST", "MOVED", "NATURAL_PHASES",
    "OUTCOMES", "RISE", "TREND", "Catapult", "Ending", "Evolution", "catapults", "ending",
    "evolution", "first_late", "is_at_edge", "is_still", "measured_within", "natural_phase",
    "outcome", "outcome_of", "phase_of", "smooth_rows", "stuck", "target", "trainable",
]  # fmt: skip

Curve = NDArray[np.float64]

OUTCOMES = {
    "stable": "trained, below the threshold at the end, and without a catapult",
    "catapult": "trained, below the threshold at the end, after one catapult or more",
    "edge_of_stability": "trained, and at the edge of stability in the last quarter",
    "diverged": "the loss is not finite at some step",
    "stuck": "finite but not trained, or at an unstable minimum with a vanished gradient",
    "unknown": "no sharpness, too few steps, or above the threshold at the end",
}

NATURAL_PHASES = {
    "progressive_sharpening": "it rises before it first crosses the threshold, transients aside",
    "sharpness_reduction": "it falls before it first crosses the threshold, transients aside",
    "constant": "it stays within 5 % before it first crosses the threshold, transients aside",
    "unknown": "the sharpness starts above the threshold, or was not measured",
}

# A catapult raises the loss by 10 % or more: the delta of Kalra & Barkeshli's search.
RISE = 1.1
# A change of the sharpness by more than this fraction is a trend.
TREND = 0.05
# Ratios in this range are at the threshold.
AT_THRESHOLD = (0.9, 1.1)
# The mean ratio at the edge of stability; see `is_at_edge`.
EDGE_MEAN = (0.85, 1.5)
# At the edge the loss rises at a fraction of the updates in this range.
EDGE_RISES = (0.05, 0.9)
# At the edge the sharpness varies by more than this fraction; that of a quadratic does not.
MOVED = 1e-3
# Trained: most of the last 32 losses are below the baseline by this fraction.
GAIN, LAST_LOSSES, MOST = 0.1, 32, 0.5
# Below this fraction of the initial loss only rounding errors remain.
VANISHED = 1e-20


@dataclass(frozen=True)
class Catapult:
    """The loss leaves its running minimum at ``start``, peaks, and returns to it at ``end``."""

    start: int
    peak: int
    end: int


def catapults(loss: Curve, ratio: Curve | None = None, rise: float = RISE) -> list[Catapult]:
    """Excursions of the loss by more than 10 % above its running minimum that return to it.

    The ratio must exceed 1 in a measurement from start to end, or in the measurements just before
    and after if there is none in between: with momentum the loss also rises below the threshold,
    which is not a catapult. If the ratio was never measured, the loss alone decides. An excursion
    that has not returned by the last step is not a catapult. Neither is one after which the network
    is dead: its loss returns to that of a constant output and then stays there.

    Parameters
    ----------
    loss, ratio : arrays, shape (steps,)
    rise : float
        Factor above the running minimum that makes an excursion; larger where 10 % could be noise.
    """
    measured = np.flatnonzero(np.isfinite(ratio)) if ratio is not None else np.empty(0, dtype=int)
    lost = np.flatnonzero(~np.isfinite(loss))
    finite = loss[: lost[0]] if lost.size else loss
    if len(finite) < 2:
        return []
    # Indices of the running minima; the loss between two of them is higher.
    minima = np.append(0, 1 + np.flatnonzero(finite[1:] <= np.minimum.accumulate(finite)[:-1]))
    heights = np.maximum.reduceat(finite, minima)[:-1]
    left = np.flatnonzero((np.diff(minima) > 1) & (heights > rise * finite[minima[:-1]]))
    changes = np.flatnonzero(loss[1:] != loss[:-1])
    killed = int(changes[-1]) + 1 if changes.size and not lost.size else len(loss)
    found = []
    for start, end in zip(minima[left].tolist(), minima[left + 1].tolist(), strict=True):
        around = measured[measured_within(measured, start, end)]
        dead = killed <= end < len(loss) - 1
        if not dead and (ratio is None or not around.size or ratio[around].max() > 1):
            found.append(Catapult(start, start + int(np.argmax(finite[start:end])), end))
    return found


def smooth_rows(updates_per_epoch: int) -> int:
    """The number of losses that average out batch noise: whole epochs, 32 updates or more."""
    epoch = updates_per_epoch
    return 1 if epoch == 1 else epoch * -(-LAST_LOSSES // epoch)


def measured_within(measured: NDArray[np.intp], start: int, end: int) -> slice:
    """The slice of the rows ``measured`` from start to end, or of the two rows around."""
    first = int(np.searchsorted(measured, start))
    last = int(np.searchsorted(measured, end, "right"))
    return slice(first, last) if last > first else slice(max(first - 1, 0), last + 1)


class Evolution(NamedTuple):
    """How the sharpness changes before the ratio first exceeds 1: the input of `phase_of`.

    Attributes
    ----------
    measurements : int, or array
        Number of measurements.
    first, last : float, or array
        The first and the last sharpness.
    low, high : float, or array
        Turning points: the last value more than 5 % below, or above, all values before.
    low_at, high_at, last_at : int, or array
        Rows of these after the first measurement.
    """

    measurements: Any
    first: Any
    last: Any
    low: Any
    low_at: Any
    high: Any
    high_at: Any
    last_at: Any


def evolution(sharpness: Curve, ratio: Curve) -> tuple[Evolution, NDArray[np.intp]]:
    """The evolution of the sharpness, and the rows of its measurements."""
    rows = np.flatnonzero(np.isfinite(sharpness) & np.isfinite(ratio))
    above = ratio[rows] > 1
    rows = rows[: int(np.argmax(above))] if above.any() else rows
    if not rows.size:
        return Evolution(0, math.nan, math.nan, math.nan, 0, math.nan, 0, 0), rows
    values, since = sharpness[rows], rows - rows[0]
    low, high = _last_new_low(values), _last_new_low(-values)
    return Evolution(
        len(rows), values[0], values[-1], values[low], since[low], values[high], since[high],
        since[-1],
    ), rows  # fmt: skip


def _last_new_low(values: Curve) -> int:
    """The index of the last value that is 5 % below the new low before it."""
    falling, at = -np.minimum.accumulate(values), 0
    while True:
        bound = values[at] * (1 - TREND if values[at] > 0 else 1 + TREND)
        after = int(np.searchsorted(falling, -bound, "right"))
        if after == len(values):
            return at
        at = after


def phase_of(seen: Evolution, *, adaptive: bool = False) -> Any:
    """The verdict of `natural_phase`, elementwise, as an index into ``NATURAL_PHASES``."""
    first_at, last_at = np.minimum(seen.low_at, seen.high_at), np.maximum(seen.low_at, seen.high_at)
    down = seen.low_at < seen.high_at
    first, last = np.where(down, seen.low, seen.high), np.where(down, seen.high, seen.low)
    corners = np.stack(np.broadcast_arrays(seen.first, first, last, seen.last))
    lengths = np.stack(np.broadcast_arrays(first_at, last_at - first_at, seen.last_at - last_at))
    change = np.diff(corners, axis=0)
    moved = np.abs(change) > TREND * np.abs(corners[:-1])
    lengths = np.where(moved, lengths, 0)
    if adaptive:
        opening = np.argmax(lengths > 0, axis=0)[None]
        short = 2 * np.take_along_axis(lengths, opening, 0) < seen.last_at
        falls = np.take_along_axis(change, opening, 0) < 0
        skipped = np.take_along_axis(lengths, opening, 0) * ~(short & falls)
        np.put_along_axis(lengths, opening, skipped, 0)
    # The longest; of equal ones the later.
    longest = 2 - np.argmax(lengths[::-1], axis=0)[None]
    rises = np.take_along_axis(change, longest, 0)[0] > 0
    return _verdict(
        NATURAL_PHASES,
        [("unknown", (np.asarray(seen.measurements) < 2) | ~(np.asarray(seen.first) > 0)),
         ("constant", lengths.max(axis=0) == 0), ("progressive_sharpening", rises)],
        "sharpness_reduction",
    )  # fmt: skip


def _verdict(words: Mapping[str, str], tests: list[tuple[str, Any]], otherwise: str) -> Any:
    """The index in ``words`` of the first test that holds, elementwise."""
    place = {word: np.int8(i) for i, word in enumerate(words)}
    return np.select([test for _, test in tests], [place[w] for w, _ in tests], place[otherwise])


def natural_phase(sharpness: Curve, ratio: Curve, *, adaptive: bool = False) -> str:
    """Whether the sharpness rises or falls before the ratio first exceeds 1.

    The minimum and the maximum (to within 5 %) divide these measurements into up to three
    stretches. The longest stretch with a change of more than 5 % gives the phase, so short
    transients do not: in muP the sharpness dips before it rises, and Adam's P^-1 H falls from a
    very large value. Kalra & Barkeshli 2024, section 4: C2, then C1.

    Parameters
    ----------
    sharpness, ratio : arrays, shape (steps,)
    adaptive : bool
        Whether the sharpness is preconditioned: an initial fall over less than half of the
        measurements is then a transient of the preconditioner and gives no phase.

    Returns
    -------
    str
        One of ``NATURAL_PHASES``. It describes the steps before the threshold is crossed; with a
        fast warmup these are few.
    """
    return [*NATURAL_PHASES][phase_of(evolution(sharpness, ratio)[0], adaptive=adaptive)]


def target(reference: Any) -> Any:
    """The loss 10 % below the reference."""
    return reference - GAIN * np.abs(reference)


def trainable(loss: Curve, baseline: float | None) -> bool:
    """Whether all losses are finite and most of the last 32 are 10 % below the baseline.

    ``baseline`` is the loss of the best constant output. The initial loss is not a good baseline: a
    dead network has the loss of the zero output, which may be a small fraction of the initial one.
    The initial loss is used only if there is no baseline (None) or if it is 0.
    """
    below = loss[-LAST_LOSSES:] < target(baseline if baseline else loss[0])
    return bool(np.isfinite(loss).all() and np.mean(below) > MOST)


def stuck(loss: Curve, baseline: float | None) -> bool:
    """Whether a run of 32 steps or more is finite but not `trainable`.

    Without a ``baseline``, most of the last 32 losses must be no better than the first.
    """
    if len(loss) <= LAST_LOSSES or not np.isfinite(loss).all():
        return False
    if baseline is None:
        return bool(np.mean(loss[-LAST_LOSSES:] < loss[0]) <= MOST)
    return not trainable(loss, baseline)


class Ending(NamedTuple):
    """Features of a stretch of a run, such as its last quarter: the input of `is_at_edge`.

    Attributes
    ----------
    mean_ratio : float, or array
        Mean over the rows of the last measurement up to each row.
    entries : int, or array
        Number of times that the ratio rises above 1.
    rises : float, or array
        Fraction of the updates that raise the loss.
    variation : float, or array
        Largest minus smallest sharpness, over the largest.
    """

    mean_ratio: Any
    entries: Any
    rises: Any
    variation: Any


def first_late(rows: int) -> int:
    """The first row of the last quarter."""
    return rows - max(1, rows // 4)


def ending(loss: Curve, ratio: Curve, sharpness: Curve, first: int, last: int) -> Ending:
    """The features of rows ``first`` to ``last``; one of them or one before is measured."""
    measured = np.flatnonzero(np.isfinite(ratio[: last + 1]))
    begin = int(np.searchsorted(measured, first, "right")) - 1
    # A measurement counts until the next one.
    within = measured[max(begin, 0) :]
    above = ratio[measured[max(begin - (within[0] == first), 0) :]] > 1
    entries = np.count_nonzero(above[1:] & ~above[:-1]) + (begin < 0 and above[0])
    rows = np.diff(np.append(np.maximum(within, first), last + 1))
    losses, values = loss[max(first - 1, 0) : last + 1], sharpness[within]
    rises = np.count_nonzero(losses[1:] > losses[:-1]) / max(len(losses) - 1, 1)
    variation = (values.max() - values.min()) / values.max() if values.max() > 0 else 0.0
    return Ending(np.average(ratio[within], weights=rows), entries, rises, variation)


def is_at_edge(seen: Ending, *, loss_tells: bool) -> Any:
    """Whether a stretch is at the edge of stability, elementwise.

    The mean ratio is between 0.85 and 1.5, the sharpness varies, and either the ratio rises above 1
    more than once or the loss is not monotone. The loss counts only with ``loss_tells``: without
    momentum and on the full batch only instability raises it. The bounds were measured on runs of
    all models and optimizers; see tests/test_reader.py.
    """
    near = (seen.mean_ratio >= EDGE_MEAN[0]) & (seen.mean_ratio <= EDGE_MEAN[1])
    few, many = EDGE_RISES
    uneven = (seen.rises >= few) & (seen.rises <= many) & loss_tells
    return near & (seen.variation > MOVED) & ((seen.entries > 1) | uneven)


def outcome(
    loss: Curve,
    ratio: Curve,
    sharpness: Curve,
    *,
    ratio_final: float,
    diverged: bool,
    trained: bool,
    stuck: bool,
    n_catapults: int,
    loss_tells: bool,
) -> str:
    """The outcome of a run; see `outcome_of`.

    Parameters
    ----------
    loss, ratio, sharpness : arrays, shape (steps,)
    ratio_final : float
        At the end.
    diverged, trained, stuck : bool
    n_catapults : int
    loss_tells : bool
        See `is_at_edge`.
    """
    late = first_late(len(loss))
    edge = still = False
    measured = bool(np.isfinite(ratio).any())
    if measured and not diverged:
        seen = ending(loss, ratio, sharpness, late, len(loss) - 1)
        edge = bool(is_at_edge(seen, loss_tells=loss_tells) and np.nanmax(ratio) > 1)
        still = is_still(loss[late:].max(), loss[late:].min(), loss[0], len(loss) - late)
    return [*OUTCOMES][outcome_of(
        diverged=diverged, trained=trained, stuck=stuck, measured=measured, still=still,
        ratio_final=ratio_final, edge=edge, n_catapults=n_catapults,
    )]  # fmt: skip


def outcome_of(
    *,
    diverged: Any,
    trained: Any,
    stuck: Any,
    measured: Any,
    still: Any,
    ratio_final: Any,
    edge: Any,
    n_catapults: Any,
) -> Any:
    """The outcome of runs as an index into ``OUTCOMES``, elementwise.

    The last quarter of the run decides on stability, not a finite loss: a deterministic run whose
    residual has underflowed (``still``) stays at an unstable minimum that any noise would make it
    leave. Such a run is stuck if its final ratio exceeds 1.

    Parameters
    ----------
    diverged, trained, stuck, measured, still, edge : bool, or arrays of it
        ``measured``: whether the ratio was measured. ``still``: whether the late losses have
        vanished or do not change. ``edge``: `is_at_edge` of the last quarter of a run whose ratio
        has exceeded 1.
    ratio_final : float, or array
        The ratio at the end.
    n_catapults : int, or array
    """
    above = np.asarray(ratio_final) > 1
    return _verdict(
        OUTCOMES,
        [
            ("diverged", np.asarray(diverged)),
            ("stuck", np.asarray(stuck)),
            ("unknown", ~(np.asarray(trained) & measured)),
            ("stuck", still & above),
            ("edge_of_stability", ~np.asarray(still) & edge),
            ("unknown", above),
            ("catapult", np.asarray(n_catapults) > 0),
        ],
        "stable",
    )


def is_still(late_max: Any, late_min: Any, loss_init: Any, rows: int) -> Any:
    """Whether the late losses have vanished or do not change."""
    return (late_max <= VANISHED * loss_init) | ((late_max == late_min) & (rows > 1))
