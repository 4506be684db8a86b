"""Colours and ticks of the diagram."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from simulator.arrays import Array

__all__ = ["powers_of_two", "round_numbers", "scale", "some_of", "viridis"]

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
