"""Fewer rows of a run's curves, that look the same."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from heapq import heappop, heappush
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from simulator.arrays import Curve

__all__ = ["rows_to_keep"]

# Of the height of a plot: a fifth of a pixel.
_UNSEEN = 1e-3


def rows_to_keep(
    curves: Sequence[Curve], most: int, always: Iterable[int] = ()
) -> NDArray[np.intp]:
    """Rows between which straight lines are hardly off: where one is most, it is broken first.

    Parameters
    ----------
    curves : arrays, each of shape (rows,)
        In units of the height of their plot; NaN where nothing was measured.
    most : int
        How many rows to keep; fewer, where more would not be seen.
    always : rows
        Kept besides, even if they are more. So are the first row and the last, and the largest and
        the smallest value of every curve.

    Returns
    -------
    array of int
        Rising.

    Notes
    -----
    Ramer 1972, Douglas & Peucker 1973, for several curves at once and with a given number of rows.
    """
    kept = {0, len(curves[0]) - 1, *always}
    known = [np.flatnonzero(np.isfinite(curve)) for curve in curves]
    for curve, rows in zip(curves, known, strict=True):
        if rows.size:
            kept |= {int(rows[choose(curve[rows])]) for choose in (np.argmin, np.argmax)}
    # Straight lines by how far off they are where they are most: -off, curve, ends, and where.
    lines: list[tuple[float, int, int, int, int]] = []

    def look(which: int, first: int, last: int) -> None:
        if last - first < 2:
            return
        x = known[which][first : last + 1]
        y = curves[which][x]
        off = np.abs(y - np.interp(x, x[[0, -1]], y[[0, -1]]))
        at = int(np.argmax(off))
        if off[at] > _UNSEEN:
            heappush(lines, (-float(off[at]), which, first, last, first + at))

    for which, rows in enumerate(known):
        if rows.size:
            ends = np.flatnonzero(np.isin(rows, list(kept)))
            ends = np.unique([0, *ends, len(rows) - 1]).tolist()
            for first, last in pairwise(ends):
                look(which, first, last)
    while lines and len(kept) < most:
        _, which, first, last, at = heappop(lines)
        kept.add(int(known[which][at]))
        look(which, first, at)
        look(which, at, last)
    return np.array(sorted(kept))
