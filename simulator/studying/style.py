"""One look for all studies: the same colour for the same thing, legible in greyscale."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from simulator.figures.canvas import subplots
from simulator.figures.style import current

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["COLORS", "band", "legend", "panels", "threshold"]

# ReLU networks by their parameterization, others by their activation. In greyscale dark for SP,
# middle for NTP, light for muP, and so on; what would be alike there differs in line and marker.
# Dashed lines are for limits.
COLORS = {
    "sp": "#08306b", "ntp": "#2f8f9d", "mup": "#e08214", "tanh": "#c2410c", "linear": "#7fb77e",
    "gd": "#252525", "momentum, 0.5": "#5e3c99", "momentum, 0.9": "#c994c7",
    "adam": "#7f0000", "gi-adam": "#fdae61", "ri-adam": "#8c96c6", "radam": "#4d9221",
    "warmup": "#6baed6", "persistent": "#ae017e",
    "loss": "#08519c", "sharpness": "#a63603", "theory": "#252525",
}  # fmt: skip


# Inches of a panel in a paper.
_NARROWEST = 1.6


def panels(
    count: int, *, columns: int | None = None, width: float = 3.9, **options: Any
) -> Sequence[Axes]:
    """A row (or rows) of empty Axes, each ``width`` inches wide; fewer a row in a narrow style."""
    columns = min(columns or count, max(1, int((current().width or 50.0) / _NARROWEST)))
    rows = -(-count // columns)
    axes = subplots(rows, columns, (width * columns, 0.82 * width * rows + 0.3), **options)
    for spare in axes.flat[count:]:
        spare.set_visible(False)
    return list(axes.flat[:count])


def band(ax: Axes, x: ArrayLike, values: ArrayLike, **style: Any) -> None:
    """The median over seeds, the first axis of ``values``, and all of them as a band."""
    values = np.asarray(values, float)
    with np.errstate(all="ignore"):
        low, middle, high = (
            np.nanmin(values, axis=0), np.nanmedian(values, axis=0), np.nanmax(values, axis=0)
        )  # fmt: skip
    (line,) = ax.plot(x, middle, **{"lw": 1.6, **style})
    ax.fill_between(x, low, high, color=line.get_color(), alpha=0.18, lw=0)


def threshold(ax: Axes, x: ArrayLike, y: ArrayLike, label: str = "") -> None:
    """A limit that theory gives: dashed."""
    ax.plot(x, y, color=COLORS["theory"], ls="--", lw=1.2, label=label or None)


def legend(ax: Axes) -> None:
    """Without a frame."""
    ax.legend(frameon=False, fontsize="small")
