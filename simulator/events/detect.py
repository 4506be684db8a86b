"""The definitions of a run's events, on its curves.

Three curves define them: the loss, the ratio of the sharpness to the threshold (unstable above 1),
and the learning rate. Rows that were not measured are skipped.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator import regimes
from simulator.trajectory import Trajectory

__all__ = [
    "DRIVERS", "Catapult", "Edge", "Events", "approach", "crossings", "edges", "find_events",
    "turns",
]  # fmt: skip

Curve = NDArray[np.float64]

DRIVERS = {
    "warmup": "the learning rate rises while the sharpness hardly rises, or falls",
    "sharpening": "the sharpness rises while the learning rate hardly rises",
    "both": "the learning rate and the sharpness rise together",
    "start": "the sharpness is above the threshold from the first step",
    "still": "the sharpness has been above the threshold since an earlier catapult",
    "unknown": "the sharpness or the learning rate was not measured",
}

# A quantity that makes this share of the approach drives it alone.
_ALONE = 0.75
# Only the last doubling of the ratio counts as the approach.
_NEAR = 0.5
# A stretch at the edge: minimal length, longest interruption (rows), and largest ratio.
_EDGE_LENGTH, _EDGE_PAUSE, _EDGE_MOST = 32, 16, 2.0


@dataclass(frozen=True)
class Catapult:
    """One catapult: the rows that bound the four stages of self-stabilization.

    Attributes
    ----------
    start, peak, end : int
        The loss leaves its running minimum, peaks, and returns to that minimum.
    crossing : int
        First measured sharpness above the threshold: sharpening ends and the loss starts to grow.
        If it has been above since an earlier catapult, the first measurement of this one. -1 if the
        sharpness was not measured.
    sharpest : int
        Largest sharpness: self-stabilization starts.
    calm : int
        First measured sharpness below the threshold again: the return starts.
    loss_ratio : float
        Loss at the peak over the loss at the start.
    sharpness_before, sharpness_after : float
        Sharpness at the crossing and at the end.
    driver : str
        The cause: one of ``DRIVERS``.
    sharpness_change : float
        Factor by which the sharpness changes on the approach to the crossing.
    """

    start: int
    peak: int
    end: int
    crossing: int
    sharpest: int
    calm: int
    loss_ratio: float
    sharpness_before: float
    sharpness_after: float
    driver: str
    sharpness_change: float


@dataclass(frozen=True)
class Edge:
    """A stretch of rows at the edge of stability: the ratio stays near 1."""

    start: int
    end: int
    mean_ratio: float
    driver: str = "unknown"
    sharpness_change: float = math.nan


@dataclass(frozen=True)
class Events:
    """All events of a run in time order; rows index the curves.

    Attributes
    ----------
    crossings : tuple of int
        Rows at which the ratio crosses 1 from below, as far as measured.
    catapults : tuple of Catapult
    apart : tuple of Catapult
        Catapults outside the edge of stability, without the peak from which a stuck run does not
        recover.
    edges : tuple of Edge
    diverged : int
        First row without a finite loss, or -1.
    stuck : bool
        The loss is finite but the run is not trained.
    unreturned : int
        Row of the lowest loss, if the loss ends more than 10 % above it or diverges; or -1.
    inflation : float
        Growth factor of the preconditioner of a stuck run over its largest loss; NaN otherwise.
    """

    crossings: tuple[int, ...]
    catapults: tuple[Catapult, ...]
    apart: tuple[Catapult, ...]
    edges: tuple[Edge, ...]
    diverged: int
    stuck: bool
    unreturned: int
    inflation: float


def crossings(ratio: Curve) -> list[int]:
    """Rows whose ratio is above 1 while the measurement before, if any, is not."""
    measured = np.flatnonzero(np.isfinite(ratio))
    above = ratio[measured] > 1
    entered = above & ~np.concatenate([[False], above[:-1]])
    return [int(row) for row in measured[entered]]


def edges(curves: Trajectory) -> list[Edge]:
    """The stretches at the edge of stability: the ratio stays near 1 or keeps crossing it.

    A stretch has 32 rows or more and starts above 1. It ends where, for 16 rows, no measurement is
    within `simulator.regimes.EDGE_MEAN` or next to a crossing. It also ends at a ratio above 2,
    where each update of gradient descent triples a component: this is a catapult until the ratio is
    below 1 again. Each stretch must pass `simulator.regimes.is_at_edge`.
    """
    ratio, found = curves.ratio, []
    rows = np.flatnonzero(np.isfinite(ratio) & np.isfinite(curves.loss))
    above = ratio[rows] > 1
    crossing = np.flatnonzero(above[1:] != above[:-1])
    low, high = regimes.EDGE_MEAN
    near = (ratio[rows] >= low) & (ratio[rows] <= high)
    beside = np.union1d(crossing, crossing + 1)
    near[beside] |= above[beside]
    leaps = np.cumsum(ratio[rows] > _EDGE_MOST)
    calm = leaps == np.maximum.accumulate(np.where(above, 0, leaps))
    marked = np.flatnonzero(near & calm)
    parted = (np.diff(rows[marked]) > _EDGE_PAUSE) | (np.diff(leaps[marked]) > 0)
    for group in np.split(marked, np.flatnonzero(parted) + 1):
        entered = group[above[group]]
        if not entered.size:
            continue
        first, last = int(rows[entered[0]]), int(rows[group[-1]])
        if last - first + 1 < _EDGE_LENGTH:
            continue
        seen = regimes.ending(curves.loss, ratio, curves.effective_sharpness, first, last)
        if regimes.is_at_edge(seen, loss_tells=curves.loss_tells):
            found.append(Edge(first, last, float(seen.mean_ratio)))
    return found


def approach(curves: Trajectory, crossing: int) -> tuple[str, float]:
    """The driver of the crossing at this row, and the factor by which the sharpness changes.

    The approach is the last doubling of the ratio before the crossing. It starts after the last
    turn of the sharpness and after the end of warmup, if warmup has ended. The log of the ratio is
    the log of the learning rate plus that of the sharpness, up to a constant: the quantity with
    three quarters of the growth or more is the driver, one of ``DRIVERS``.
    """
    ratio, sharpness = curves.ratio, curves.effective_sharpness
    if crossing < 0 or not np.isfinite(ratio[crossing]):
        return "unknown", math.nan
    rows = np.flatnonzero(np.isfinite(ratio[: crossing + 1]))
    if len(rows) == 1:
        return "start", math.nan
    above = np.flatnonzero(ratio[rows[:-1]] > 1)
    rows = rows[above[-1] + 1 :] if above.size else rows
    far = np.flatnonzero(ratio[rows] <= _NEAR)
    rows = rows[far[-1] if far.size else int(np.argmin(ratio[rows])) :]
    corners = turns(sharpness[rows])
    rows = rows[corners[-1] if corners else 0 :]
    rising = np.flatnonzero(np.diff(curves.eta[rows]) > 0)
    if not rising.size or rising[-1] < len(rows) - 2:
        rows = rows[rising[-1] + 1 if rising.size else 0 :]
    with np.errstate(divide="ignore", invalid="ignore"):
        by_eta = np.log(curves.eta[crossing] / curves.eta[rows[0]])
        factor = sharpness[crossing] / sharpness[rows[0]]
        share = 1.0 if by_eta == np.inf else by_eta / (by_eta + np.log(factor))
    if not np.isfinite(share):
        return "unknown", math.nan
    name = "warmup" if share >= _ALONE else "sharpening" if share <= 1 - _ALONE else "both"
    return name, float(factor)


def turns(values: Curve) -> list[int]:
    """Indices of a curve's peaks and troughs, between changes of more than 5 %."""
    found: list[int] = []
    low = high = direction = 0
    for at, value in enumerate(values):
        low, high = (at if value < values[low] else low), (at if value > values[high] else high)
        down = direction >= 0 and value < values[high] - regimes.TREND * abs(values[high])
        up = direction <= 0 and value > values[low] + regimes.TREND * abs(values[low])
        if down or up:
            found += [high if down else low] if direction else []
            direction, low, high = (-1 if down else 1), at, at
    return found


def _catapults(curves: Trajectory) -> Iterator[Catapult]:
    """The catapults with their stages, from the measurements around each."""
    ratio, sharpness, earlier = curves.ratio, curves.effective_sharpness, -1
    measured, crossed = np.flatnonzero(np.isfinite(ratio)), crossings(ratio)
    for found in curves.catapults:
        around = measured[regimes.measured_within(measured, found.start, found.end)]
        above = around[ratio[around] > 1]
        crossing = sharpest = calm = -1
        before = after = change = math.nan
        driver = "unknown"
        if above.size:
            # The crossing may come while the loss still falls.
            crossing = max(row for row in crossed if row <= above[0])
            if crossing == earlier:
                crossing, driver = int(above[0]), "still"
            else:
                earlier, (driver, change) = crossing, approach(curves, crossing)
            calmer = around[(around >= max(found.peak, crossing)) & (ratio[around] <= 1)]
            calm = int(calmer[0]) if calmer.size else int(around[-1])
            during = measured[(measured >= crossing) & (measured <= calm)]
            sharpest = int(during[np.argmax(sharpness[during])])
            before, after = float(sharpness[crossing]), float(sharpness[around[-1]])
        yield Catapult(
            found.start, found.peak, found.end, crossing, sharpest, calm,
            float(curves.smooth_loss[found.peak] / curves.smooth_loss[found.start]),
            before, after, driver, change,
        )  # fmt: skip


def _unreturned(curves: Trajectory) -> int:
    """The row of the lowest loss, if the loss ends more than 10 % above it or diverges; else -1."""
    loss = curves.smooth_loss
    seen = loss[np.isfinite(loss)] if curves.diverged_row < 0 else loss[: curves.diverged_row]
    if not seen.size:
        return -1
    lowest = len(seen) - 1 - int(np.argmin(seen[::-1]))
    last = seen[-1] if np.isnan(curves.loss_final) else min(seen[-1], curves.loss_final)
    return lowest if curves.diverged or last > curves.rise * seen[lowest] else -1


def _inflation(curves: Trajectory) -> float:
    """The growth of the preconditioner (sharpness over preconditioned one) at the largest loss.

    A large gradient stays in the second moment of an adaptive optimizer and makes later updates
    small, so the network hardly moves after the peak.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = curves.sharpness / curves.preconditioned_sharpness
    measured = np.flatnonzero(np.isfinite(scale) & (scale > 0))
    peak = int(np.nanargmax(curves.loss))
    before, after = measured[measured <= max(peak - 1, 0)], measured[measured > peak]
    if not before.size or not after.size:
        return math.nan
    return float(scale[after].max() / scale[before[-1]])


def find_events(curves: Trajectory) -> Events:
    """All events of a run."""
    ratio = curves.ratio
    diverged, unreturned = curves.diverged_row, _unreturned(curves)
    stuck = curves.stuck
    # The rows after the last minimum of a diverging run belong to the divergence.
    hovering = [e for e in edges(curves) if diverged < 0 or e.end <= unreturned]
    catapults = tuple(_catapults(curves))
    failure = int(np.nanargmax(curves.loss)) if stuck else -1
    return Events(
        crossings=tuple(crossings(ratio)),
        catapults=catapults,
        apart=tuple(
            c
            for c in catapults
            if c.peak != failure
            and not any(e.start <= c.peak and c.start <= e.end for e in hovering)
        ),
        edges=tuple(
            Edge(e.start, e.end, e.mean_ratio, *approach(curves, e.start)) for e in hovering
        ),
        diverged=diverged,
        stuck=stuck,
        unreturned=unreturned,
        inflation=_inflation(curves) if stuck and curves.adaptive else math.nan,
    )
