"""How much of a run's curves a figure shows: a divergence would dwarf all else."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simulator.trajectory import Trajectory

__all__ = ["loss_extent", "sharpness_extent"]

# A loss may pass through 1e300 on its way out; nothing else would be seen beside that.
_BLOW_UP = 1e15
# The ticks of a logarithmic axis overflow where it spans hundreds of decades.
_DRAWN = (1e-140, 1e140)


def loss_extent(curves: Trajectory) -> tuple[float, float] | None:
    """Lowest and highest loss to show, on a logarithmic axis; None where none is positive."""
    positive = curves.loss[(curves.loss > 0) & np.isfinite(curves.loss)]
    if not positive.size:
        return None
    with np.errstate(over="ignore"):
        top = 2 * min(positive.max(), _BLOW_UP * positive[0])
    return _within(0.5 * positive.min(), top)


def sharpness_extent(curves: Trajectory, *, logarithmic: bool) -> tuple[float, float] | None:
    """The same of the sharpness that is shown, from 0 on a linear axis.

    None where nothing was measured, or nothing above 0.
    """
    values = _finite(curves.shown_sharpness)
    if not values.size:
        return None
    # The threshold starts at infinity where eta starts at 0.
    borne = _finite(curves.threshold)
    last = borne[-1] if borne.size else 0.0
    top = 1.6 * min(values.max(), 20 * max(values[0], last))
    positive = values[values > 0]
    if not positive.size or not top > 0:
        return None
    return _within(0.5 * positive.min(), top) if logarithmic else (0.0, float(top))


def _finite(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return values[np.isfinite(values)]


def _within(low: float, high: float) -> tuple[float, float]:
    first, last = np.clip((low, high), *_DRAWN)
    return float(first), float(last)
