"""How much of a run's curves a figure shows: a divergence would dwarf all else."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from simulator.trajectory import Trajectory

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["LINEAR", "last_step", "loss_extent", "scale_axis", "sharpness_extent"]

# A loss may pass through 1e300 on its way out; nothing else would be seen beside that.
_DIVERGED, _BLOW_UP = 1e3, 1e15
# Room below and above the sharpness.
_BELOW, _ABOVE = 0.5, 1.6
# A linear axis shows a factor of this; beyond, the axis is logarithmic.
LINEAR = 10.0
# The ticks of a logarithmic axis overflow where it spans hundreds of decades.
_DRAWN = (1e-140, 1e140)


def last_step(curves: Trajectory) -> int:
    """The last step to show: after a divergence nothing follows."""
    rows = len(curves.step) - 1
    row = curves.diverged_row
    # A few percent more, where there is anything, so that the end is seen to be one.
    return curves.at(rows if row < 0 else min(row + max(1, row // 16), rows)) + 1


def scale_axis(ax: Axes, extents: Iterable[tuple[float, float]]) -> None:
    """Show these extents of sharpness; the axis is logarithmic if they span more than ten."""
    lows, highs = zip(*extents, strict=True)
    low, high = min(lows), max(highs)
    if high / _ABOVE > LINEAR * low / _BELOW:
        ax.set(yscale="log", ylim=(low, high))
        ax.yaxis.set_major_formatter("{x:g}")
    else:
        ax.set(ylim=(0.0, high))


def loss_extent(curves: Trajectory) -> tuple[float, float] | None:
    """Lowest and highest loss to show, on a logarithmic axis; None where none is positive."""
    positive = curves.loss[(curves.loss > 0) & np.isfinite(curves.loss)]
    if not positive.size:
        return None
    with np.errstate(over="ignore"):
        top = 2 * min(positive.max(), max(_DIVERGED * positive[0], _highest_before_end(curves)))
    return _within(0.5 * positive.min(), top)


def _highest_before_end(curves: Trajectory) -> float:
    """The highest loss, or if it diverged, the highest before it rose for the last time."""
    loss = curves.loss
    if curves.diverged:
        loss = loss[: curves.diverged_row]
        falls = np.flatnonzero(np.diff(loss) < 0)
        loss = loss[: falls[-1] + 1] if falls.size else loss[:1]
    return float(min(np.nanmax(loss, initial=0.0), _BLOW_UP * loss[0]))


def sharpness_extent(curves: Trajectory) -> tuple[float, float] | None:
    """The same of the sharpness that is shown.

    None where nothing was measured, or nothing above 0.
    """
    values = _finite(curves.shown_sharpness)
    if not values.size:
        return None
    # The threshold starts at infinity where eta starts at 0.
    thresholds = _finite(curves.threshold)
    last = thresholds[-1] if thresholds.size else 0.0
    top = _ABOVE * min(values.max(), 20 * max(values[0], last))
    positive = values[values > 0]
    if not positive.size or not top > 0:
        return None
    return _within(_BELOW * positive.min(), top)


def _finite(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return values[np.isfinite(values)]


def _within(low: float, high: float) -> tuple[float, float]:
    first, last = np.clip((low, high), *_DRAWN)
    return float(first), float(last)
