"""The events of a run, found on its curves: each kind defined once.

A run that is near instability tells its story in three curves: the loss, the ratio of the sharpness
to the threshold (unstable above 1), and the learning rate. Rows that were not measured are skipped,
never guessed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from simulator import regimes
from simulator.trajectory import Trajectory

__all__ = ["DRIVERS", "Catapult", "Edge", "Events", "crossings", "driver", "edges", "find_events"]

Curve = NDArray[np.float64]

DRIVERS = {
    "warmup": "the learning rate rose towards 2 / sharpness, which did not come to meet it",
    "sharpening": "the sharpness rose towards the threshold of a learning rate that waited",
    "both": "learning rate and sharpness rose towards each other",
    "start": "above the threshold from the first step",
    "unknown": "sharpness or learning rate were not measured",
}

# A share of the approach that one of the two makes almost alone.
_ALONE = 0.75
# The approach is judged by its last doubling: far below the threshold nothing is decided.
_NEAR = 0.5
# At the edge: so many measurements, and never so many in a row below `regimes.EDGE`.
_EDGE_LENGTH, _EDGE_PAUSE = 32, 16


@dataclass(frozen=True)
class Catapult:
    """One catapult, by rows, with the four stages of self-stabilisation between them.

    Attributes
    ----------
    start, peak, end : int
        The loss leaves its running minimum, is largest, and is back.
    crossing : int
        The sharpness is first seen above the threshold: the approach ends, the loss begins to
        grow. -1 where it was not measured.
    sharpest : int
        The sharpness is largest: what follows is its reduction.
    calm : int
        It is first seen below the threshold again: what follows is the return.
    loss_ratio : float
        Loss at the peak over that at the start.
    sharpness_before, sharpness_after : float
        At the crossing, and at the end.
    driver : str
        What brought it about: one of ``DRIVERS``.
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


@dataclass(frozen=True)
class Edge:
    """A stretch at the edge of stability, by rows: ratios hover about 1."""

    start: int
    end: int
    mean_ratio: float
    driver: str = "unknown"


@dataclass(frozen=True)
class Events:
    """All that happened, in order of time; rows index the curves.

    ``crossings``: rows where the ratio is first seen above 1. ``apart``: the catapults that are
    neither part of an edge nor the peak from which a stuck run did not recover. ``diverged``: the
    first row without a finite loss, or -1. ``stuck``: finite but not trained. ``unreturned``: the
    row where the loss left its running minimum by a tenth and did not come back, or -1.
    ``inflation``: by what factor
    the preconditioner grew over the largest rise of the loss of a run that is stuck, NaN otherwise.
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
    """Rows at which a ratio above 1 is seen after one that was not, or first of all."""
    measured = np.flatnonzero(np.isfinite(ratio))
    above = ratio[measured] > 1
    entered = above & ~np.concatenate([[False], above[:-1]])
    return [int(row) for row in measured[entered]]


def edges(ratio: Curve, loss: Curve) -> list[Edge]:
    """Stretches of 32 measurements or more, from a crossing to the last ratio above 0.9.

    They end where 16 measurements in a row lie below 0.9: a catapult or two are over sooner. A loss
    that stands still is not at the edge, whatever the ratio: nothing moves.
    """
    measured = np.flatnonzero(np.isfinite(ratio) & np.isfinite(loss))
    values, found, first = ratio[measured], [], -1
    near = 0
    for at, value in enumerate(values):
        if first < 0:
            first = near = at if value > 1 else -1
        elif value > regimes.EDGE:
            near = at
        if first >= 0 and (at - near >= _EDGE_PAUSE or at == len(values) - 1):
            rows = measured[first : near + 1]
            if len(rows) >= _EDGE_LENGTH and np.ptp(loss[rows]) > 0:
                found.append(Edge(int(rows[0]), int(rows[-1]), float(ratio[rows].mean())))
            first = -1
    return found


def driver(curves: Trajectory, crossing: int) -> str:
    """What brought the ratio above 1 at this row: one of ``DRIVERS``.

    The logarithm of the ratio is that of the learning rate plus that of the sharpness. Over the
    last doubling before the crossing, three quarters of the growth make a driver.
    """
    ratio = curves.ratio
    if crossing < 0 or not np.isfinite(ratio[crossing]):
        return "unknown"
    before = np.flatnonzero(np.isfinite(ratio[:crossing]))
    if not before.size:
        return "start"
    above = np.flatnonzero(ratio[before] > 1)
    before = before[above[-1] + 1 :] if above.size else before
    far = np.flatnonzero(ratio[before] <= _NEAR)
    begin = before[far[-1]] if far.size else before[np.argmin(ratio[before])]
    with np.errstate(divide="ignore", invalid="ignore"):
        by_eta = np.log(curves.eta[crossing] / curves.eta[begin])
        by_sharpness = np.log(curves.effective_sharpness[crossing]) - np.log(
            curves.effective_sharpness[begin]
        )
        share = 1.0 if by_eta == np.inf else by_eta / (by_eta + by_sharpness)
    if not np.isfinite(share):
        return "unknown"
    return "warmup" if share >= _ALONE else "sharpening" if share <= 1 - _ALONE else "both"


def _catapult(curves: Trajectory, found: regimes.Catapult) -> Catapult:
    """With its stages, from the measurements around it."""
    ratio, sharpness = curves.ratio, curves.effective_sharpness
    measured = np.flatnonzero(np.isfinite(ratio))
    first = max(int(np.searchsorted(measured, found.start, "right")) - 1, 0)
    around = measured[first : int(np.searchsorted(measured, found.end)) + 1]
    above = around[ratio[around] > 1]
    crossing = sharpest = calm = -1
    before = after = math.nan
    if above.size:
        # It may have been crossed while the loss still fell.
        crossing = max(row for row in crossings(ratio) if row <= above[0])
        calmer = around[(around >= max(found.peak, crossing)) & (ratio[around] <= 1)]
        calm = int(calmer[0]) if calmer.size else int(around[-1])
        during = measured[(measured >= crossing) & (measured <= calm)]
        sharpest = int(during[np.argmax(sharpness[during])])
        before, after = float(sharpness[crossing]), float(sharpness[around[-1]])
    return Catapult(
        found.start, found.peak, found.end, crossing, sharpest, calm,
        float(curves.loss[found.peak] / curves.loss[found.start]),
        before, after, driver(curves, crossing),
    )  # fmt: skip


def _unreturned(loss: Curve) -> int:
    """The row of the lowest loss, if the loss left it by a tenth and has not come back."""
    known = np.isfinite(loss)
    lost = np.flatnonzero(~known)
    seen = loss[: lost[0]] if lost.size else loss
    if not seen.size:
        return -1
    lowest = len(seen) - 1 - int(np.argmin(seen[::-1]))
    rest = seen[lowest:]
    return lowest if rest.max() > regimes.RISE * rest[0] or (lost.size and lost[0] > 0) else -1


def _inflation(curves: Trajectory) -> float:
    """How much the preconditioner grew over the largest loss, by sharpness over its own.

    An adaptive optimizer's memory of a large gradient makes later updates small for as long as it
    lasts: the network stands still where it was thrown.
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
    diverged, unreturned = curves.diverged_row, _unreturned(curves.loss)
    # What follows the last minimum of a run that diverges is its divergence.
    lasting = slice(0, max(unreturned, 0) + 1 if diverged >= 0 else None)
    stuck = diverged < 0 and not curves.trainable
    hovering = edges(ratio[lasting], curves.loss[lasting])
    catapults = tuple(_catapult(curves, catapult) for catapult in curves.catapults)
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
        edges=tuple(replace(edge, driver=driver(curves, edge.start)) for edge in hovering),
        diverged=diverged,
        stuck=stuck,
        unreturned=unreturned,
        inflation=_inflation(curves) if stuck and curves.adaptive else math.nan,
    )
