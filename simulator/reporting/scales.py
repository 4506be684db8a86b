"""Colours and ticks of the figures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from simulator.arrays import Array
from simulator.figures.palette import (
    BATCH,
    CRITICAL,
    DIRECTIONAL,
    ETA,
    FULL,
    INTERACTION,
    LOSS,
    SHARPNESS,
    THRESHOLD,
)

__all__ = [
    "CATAPULT", "DARK", "EDGE", "STUCK", "powers_of_two", "round_numbers", "scale",
    "some_of", "viridis",
]  # fmt: skip

# The palette's on white; what is behind them shows, so that they suit a dark page too.
CATAPULT, EDGE, STUCK = (
    "rgba(128, 128, 128, 0.3)", "rgba(40, 124, 209, 0.18)", "rgba(128, 128, 128, 0.23)",
)  # fmt: skip
# All other colours of figures on a dark page, by those on a light one: Bokeh's own, then ours.
DARK = {
    "#ffffff": "#16181a", "white": "#16181a", "black": "#ececec", "#444444": "#c9c9c9",
    "#e5e5e5": "#3a3e42", "#eeeeee": "#2b2e31", "#d01c8b": "#f472b6",
    LOSS: "#6baed6", SHARPNESS: "#f16913", ETA: "#74c476", THRESHOLD: "#e0e0e0", FULL: "#fdbe85",
    BATCH: "#9ecae1", INTERACTION: "#bcbddc", DIRECTIONAL: "#bdbdbd", CRITICAL: "#c7e9c0",
}  # fmt: skip

_LEAST_LOSS = 1e-16


def scale(values: Array, *, is_loss: bool) -> tuple[float, float, bool]:
    """The ends of the colours, and whether they are those of a logarithmic scale.

    Losses that are no more than a rounding of the largest all have the colour of the smallest.
    """
    finite = values[np.isfinite(values)]
    positive = finite[finite > 0]
    if is_loss and positive.size:
        high = float(positive.max())
        low = max(float(positive.min()), _LEAST_LOSS * high)
        return low, max(high, 1.001 * low), True
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    return low, high if high > low else low + 1.0, False


def viridis(*, reverse: bool) -> tuple[str, ...]:
    """A small loss is as bright as a high accuracy."""
    from bokeh.palettes import Viridis256

    return tuple(reversed(Viridis256)) if reverse else Viridis256


def round_numbers(low: float, high: float) -> list[float]:
    """One, two and five of a decade, or fewer."""
    decades = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    step = len(decades) // 6 + 1
    digits = (1, 2, 5) if len(decades) <= 4 else (1,)
    every = [digit * 10.0**power for power in decades[::step] for digit in digits]
    return [tick for tick in every if low <= tick <= high] or [low, high]


def some_of(values: Sequence[float], most: int) -> list[float]:
    """So many of the values of an axis, evenly."""
    return [float(value) for value in values[:: (len(values) - 1) // most + 1]]


def powers_of_two(edges: Array) -> list[float]:
    """Those within; the ends, if there is none."""
    first, last = int(np.ceil(np.log2(edges[0]))), int(np.floor(np.log2(edges[-1])))
    step = (last - first) // 10 + 1
    within = [2.0**power for power in range(first, last + 1, step)]
    return within or [float(edge) for edge in edges[[0, -1]]]
