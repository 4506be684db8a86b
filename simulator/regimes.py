"""What happened in a run: the definitions, each in one place, as functions of its curves.

Curves are per step and hold values before that step's update; a sharpness that was not measured
is NaN. ``ratio`` is sharpness / threshold, the distance to instability: a quadratic with this
Hessian is unstable where it exceeds 1.

Each definition has two parts: the features of a curve, and the verdict on them. Runs that train
side by side keep no curves; `simulator.numerics.summaries` collects the same features while they
train, and `simulator.training.ensemble` passes them to the same verdicts, which work elementwise.
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
    "stable": "trained, and at the end below the threshold; never left it by a catapult",
    "catapult": "trained, and at the end below the threshold, after one catapult or more",
    "edge_of_stability": "trained, and in its last quarter at the edge of stability",
    "diverged": "the loss stopped being finite",
    "stuck": "finite but not trained, or frozen at an unstable minimum by a vanished gradient",
    "unknown": "cannot be judged: no sharpness, too few steps, or above the threshold at the end",
}

NATURAL_PHASES = {
    "progressive_sharpening": "it rose before it first crossed the threshold, transients aside",
    "sharpness_reduction": "it fell before it first crossed the threshold, transients aside",
    "constant": "it stayed within 5 % before it first crossed the threshold, transients aside",
    "unknown": "the threshold was crossed from the start, or no sharpness was measured",
}

# A rise of the loss by 10 % makes a catapult: the delta of Kalra & Barkeshli's search.
RISE = 1.1
# The sharpness rises or falls where it changes by more than this share.
TREND = 0.05
# Ratios between these are at the threshold.
AT_THRESHOLD = (0.9, 1.1)
# The mean ratio at the edge of stability; see `is_at_edge`.
EDGE_MEAN = (0.85, 1.5)
# At the edge the loss rises at no fewer and no more than these shares of the updates.
EDGE_RISES = (0.05, 0.9)
# The sharpness at the edge varies by more than this share; a quadratic's does not.
MOVED = 1e-3
# Trained: better than the baseline by this share, in most of the last 32 losses.
GAIN, LAST_LOSSES, MOST = 0.1, 32, 0.5
# Below this fraction of the initial loss nothing is left but rounding; so where it stands still.
VANISHED = 1e-20


@dataclass(frozen=True)
class Catapult:
    """The loss leaves its running minimum at ``start``, peaks, and is back at ``end``."""

    start: int
    peak: int
    end: int


def catapults(loss: Curve, ratio: Curve | None = None, rise: float = RISE) -> list[Catapult]:
    """Excursions of the loss by more than 10 % above its running minimum that come back to it.

    In the measurements from the start to the end, or in those before and after where none lies
    between, the ratio must have exceeded 1: momentum makes the loss rise below the threshold too,
    and that is no catapult. Where it was never measured, the loss alone must do. Nor is an
    excursion a catapult that has not come back by the last step, or that killed the network: a dead
    one comes back as well, to the loss of its constant output, and never moves again.

    Parameters
    ----------
    loss, ratio : arrays, shape (steps,)
    rise : float
        How much higher than the minimum is an excursion, where 10 % could be noise.
    """
    measured = np.flatnonzero(np.isfinite(ratio)) if ratio is not None else np.empty(0, dtype=int)
    lost = np.flatnonzero(~np.isfinite(loss))
    finite = loss[: lost[0]] if lost.size else loss
    if len(finite) < 2:
        return []
    # From one minimum to the next that is as low: between them the loss is higher.
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
    """Over how many losses batch noise averages out: whole epochs, and 32 updates or more."""
    epoch = updates_per_epoch
    return 1 if epoch == 1 else epoch * -(-LAST_LOSSES // epoch)


def measured_within(measured: NDArray[np.intp], start: int, end: int) -> slice:
    """The places, in the rows ``measured``, of those from start to end, or of the two around."""
    first = int(np.searchsorted(measured, start))
    last = int(np.searchsorted(measured, end, "right"))
    return slice(first, last) if last > first else slice(max(first - 1, 0), last + 1)


class Evolution(NamedTuple):
    """How the sharpness moved before the first ratio above 1: what `phase_of` needs.

    Attributes
    ----------
    measurements : int, or array
        How many there are.
    first, last : float, or array
        The first and the last sharpness.
    low, high : float, or array
        Its turning points: the last value that was more than 5 % below, or above, all before.
    low_at, high_at, last_at : int, or array
        How many rows after the first measurement these lie.
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
    """The last value that is below its predecessor of the kind by more than 5 %."""
    falling, at = -np.minimum.accumulate(values), 0
    while True:
        bound = values[at] * (1 - TREND if values[at] > 0 else 1 + TREND)
        after = int(np.searchsorted(falling, -bound, "right"))
        if after == len(values):
            return at
        at = after


def phase_of(seen: Evolution, *, adaptive: bool = False) -> Any:
    """The verdict of `natural_phase`, elementwise: its place among ``NATURAL_PHASES``."""
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
    # The longest, and of two the later one.
    longest = 2 - np.argmax(lengths[::-1], axis=0)[None]
    rises = np.take_along_axis(change, longest, 0)[0] > 0
    return _verdict(
        NATURAL_PHASES,
        [("unknown", (np.asarray(seen.measurements) < 2) | ~(np.asarray(seen.first) > 0)),
         ("constant", lengths.max(axis=0) == 0), ("progressive_sharpening", rises)],
        "sharpness_reduction",
    )  # fmt: skip


def _verdict(words: Mapping[str, str], tests: list[tuple[str, Any]], otherwise: str) -> Any:
    """Of the first test that is passed, its word's place among ``words``, elementwise."""
    place = {word: np.int8(i) for i, word in enumerate(words)}
    return np.select([test for _, test in tests], [place[w] for w, _ in tests], place[otherwise])


def natural_phase(sharpness: Curve, ratio: Curve, *, adaptive: bool = False) -> str:
    """Whether the sharpness rises or falls by itself: before the ratio first exceeds 1.

    Its minimum and its maximum (to within 5 %) divide these measurements into up to three
    stretches; the longest over which it changes by more than 5 % gives the phase. A short transient
    does not: muP's sharpness dips before it rises, Adam's P^-1 H collapses from an enormous value.
    Kalra & Barkeshli 2024, section 4: C2, then C1.

    Parameters
    ----------
    sharpness, ratio : arrays, shape (steps,)
    adaptive : bool
        The sharpness is preconditioned: a fall that opens the run and takes less than half of it is
        the preconditioner's own transient, and gives no phase.

    Returns
    -------
    str
        One of ``NATURAL_PHASES``. It describes the steps that this run spent below the threshold,
        however few: a fast warmup leaves only the first ones.
    """
    return [*NATURAL_PHASES][phase_of(evolution(sharpness, ratio)[0], adaptive=adaptive)]


def target(reference: Any) -> Any:
    """The loss below which a run is better than the reference by 10 %."""
    return reference - GAIN * np.abs(reference)


def trainable(loss: Curve, baseline: float | None) -> bool:
    """Finite, and most of the last 32 losses are 10 % below the best constant output's.

    ``baseline`` is that output's loss. The initial loss would not do: a dead network has the loss
    of the zero output, which may be a small fraction of the initial one. It serves only where no
    constant is worth anything (None) or where a constant is already perfect (0).
    """
    below = loss[-LAST_LOSSES:] < target(baseline if baseline else loss[0])
    return bool(np.isfinite(loss).all() and np.mean(below) > MOST)


def stuck(loss: Curve, baseline: float | None) -> bool:
    """Finite, 32 steps or more, and not `trainable`.

    Without a ``baseline``, most of the last 32 losses must be no better than the first.
    """
    if len(loss) <= LAST_LOSSES or not np.isfinite(loss).all():
        return False
    if baseline is None:
        return bool(np.mean(loss[-LAST_LOSSES:] < loss[0]) <= MOST)
    return not trainable(loss, baseline)


class Ending(NamedTuple):
    """How a stretch of a run went, such as its last quarter: what `is_at_edge` needs.

    Attributes
    ----------
    mean_ratio : float, or array
        Over the rows, each of which counts the last measurement before it.
    entries : int, or array
        How often the ratio rises above 1.
    rises : float, or array
        The share of the updates after which the loss is higher.
    variation : float, or array
        Largest minus smallest sharpness, over the largest.
    """

    mean_ratio: Any
    entries: Any
    rises: Any
    variation: Any


def first_late(rows: int) -> int:
    """The row with which the last quarter begins."""
    return rows - max(1, rows // 4)


def ending(loss: Curve, ratio: Curve, sharpness: Curve, first: int, last: int) -> Ending:
    """The features of rows ``first`` to ``last``; measured is one of them, or one before."""
    measured = np.flatnonzero(np.isfinite(ratio[: last + 1]))
    begin = int(np.searchsorted(measured, first, "right")) - 1
    # What was measured before counts until the next measurement.
    within = measured[max(begin, 0) :]
    above = ratio[measured[max(begin - (within[0] == first), 0) :]] > 1
    entries = np.count_nonzero(above[1:] & ~above[:-1]) + (begin < 0 and above[0])
    rows = np.diff(np.append(np.maximum(within, first), last + 1))
    losses, values = loss[max(first - 1, 0) : last + 1], sharpness[within]
    rises = np.count_nonzero(losses[1:] > losses[:-1]) / max(len(losses) - 1, 1)
    variation = (values.max() - values.min()) / values.max() if values.max() > 0 else 0.0
    return Ending(np.average(ratio[within], weights=rows), entries, rises, variation)


def is_at_edge(seen: Ending, *, loss_tells: bool) -> Any:
    """Whether this is the edge of stability, elementwise.

    The mean ratio is between 0.85 and 1.5, the sharpness moves, and the ratio rises above 1 again
    and again or, where that tells (``loss_tells``), the loss does not fall monotonically: without
    momentum and on all samples it rises by instability only. Measured on runs of all models and
    optimizers: see tests/test_reader.py.
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
    """The place among ``OUTCOMES`` of how runs ended, elementwise.

    Stability is judged by the last quarter of the run, never by a finite loss: a
    deterministic run whose residual has underflowed to nothing (``still``) sits at a minimum that
    the slightest noise would leave. Such a run is stuck if its ratio at the end exceeds 1.

    Parameters
    ----------
    diverged, trained, stuck, measured, still, edge : bool, or arrays of it
        ``measured``: whether there is a ratio at all. ``still``: late losses that have vanished, or
        do not change. ``edge``: `is_at_edge` of the last quarter, of a run that has crossed 1.
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
    """Whether the late losses have vanished, or do not change."""
    return (late_max <= VANISHED * loss_init) | ((late_max == late_min) & (rows > 1))
