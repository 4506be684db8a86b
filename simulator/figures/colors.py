"""The scale of colours of a phase diagram: robust for numbers, discrete for counts and words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from simulator.arrays import Array
from simulator.figures.sheet import Sheet
from simulator.figures.style import current

__all__ = ["Scale", "scale_of"]

# Cells beyond an end of the scale: at most this share, and one in any case.
_OUTLYING = 0.05
# More counts than these are a continuous scale.
_MOST_COUNTS = 10


class Scale(NamedTuple):
    """How numbers become colours.

    Attributes
    ----------
    norm, cmap
        Of matplotlib.
    extend : {"neither", "min", "max", "both"}
        Beyond which ends there are numbers.
    ticks : dict from float to str
        Of the colour bar, where it is discrete.
    least : float
        What is drawn in place of smaller numbers: a logarithmic scale has none for 0.
    """

    norm: Any
    cmap: Any
    extend: str = "neither"
    ticks: dict[float, str] | None = None
    least: float = -np.inf


def scale_of(sheets: Sequence[Sheet], *, is_loss: bool) -> Scale:
    """One scale for all these diagrams of one variable."""
    from matplotlib import colormaps
    from matplotlib.colors import LogNorm, Normalize

    values = np.concatenate([sheet.middle.ravel() for sheet in sheets])
    values = np.sort(values[np.isfinite(values)])
    # A small loss is bright, as a high accuracy is.
    name = current().cmap or ("viridis_r" if is_loss else "viridis")
    if sheets[0].whole and values.size:
        present = np.unique(values)
        if sheets[0].words or present[-1] - present[0] < _MOST_COUNTS:
            return _discrete(present, sheets[0].words, name)
    if not values.size:
        return Scale(Normalize(0, 1), colormaps[name])
    lowest = values[0]
    logarithmic = is_loss and values[-1] > 0
    if logarithmic:
        values = values[values > 0]
    first, last = _ends(np.log(values) if logarithmic else values)
    low, high = values[first], values[last]
    extend = {(False, False): "neither", (True, False): "min", (False, True): "max"}
    beyond = extend.get((low > lowest, high < values[-1]), "both")
    if logarithmic:
        norm = LogNorm(low, max(high, low * 1.001))
        return Scale(norm, colormaps[name], beyond, least=np.finfo(float).tiny)
    return Scale(Normalize(low, high), colormaps[name], beyond)


def _ends(values: Array) -> tuple[int, int]:
    """Which of these sorted values are the ends of a scale that a few do not wash out."""
    most = max(1, int(_OUTLYING * values.size))
    low, high = 0, values.size - 1
    inner = values[high - most] - values[most] if values.size > 4 * most else 0.0
    if inner > 0.0 and values[-1] - values[-1 - most] > inner:
        high -= most
    if inner > 0.0 and values[most] - values[0] > inner:
        low += most
    return low, high


def _discrete(present: Array, words: Sequence[str], name: str) -> Scale:
    """A colour for each count from the lowest to the highest, or for each word that is there."""
    from matplotlib import colormaps
    from matplotlib.colors import BoundaryNorm, ListedColormap

    shown = present if words else np.arange(present[0], present[-1] + 1)
    # Between words that are there the boundary may lie anywhere.
    inner = 0.5 * (shown[1:] + shown[:-1])
    edges = np.concatenate([[shown[0] - 0.5], inner, [shown[-1] + 0.5]])
    colors = ListedColormap(colormaps[name](np.linspace(0.1, 0.95, len(shown))))
    centres = 0.5 * (edges[1:] + edges[:-1])
    texts = [words[int(v)].replace("_", " ") if words else f"{v:g}" for v in shown]
    ticks = dict(zip(centres.tolist(), texts, strict=True))
    return Scale(BoundaryNorm(edges, len(shown)), colors, ticks=ticks)
