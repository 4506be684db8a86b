"""The top eigenvalues of many small symmetric matrices at once, one in each lane.

Householder's reduction to tridiagonal form, then bisection by Sturm counts: no pivots and no
branches, so that all lanes take the same steps. To rounding, relative to the largest |eigenvalue|.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.numerics.blocks import LANES
from simulator.numerics.jit import kernel

__all__ = ["SCRATCH_ROWS", "top_eigenvalues"]

SCRATCH_ROWS = 4
# Halvings of an interval that holds the whole spectrum.
_HALVINGS = 56


@kernel
def top_eigenvalues(matrix: Any, size: int, scratch: Any, at: int, out: Any) -> None:
    """Largest eigenvalues into ``out[at : at + LANES]``.

    ``matrix`` has size^2 rows, entry (i, j) in row i * size + j; its lower triangle is read, and
    destroyed. ``scratch`` has SCRATCH_ROWS + 2 * size rows.
    """
    for column in range(size - 2):
        _reflect(matrix, size, column, scratch)
    _bisect(matrix, size, scratch, at, out)


@kernel
def _reflect(matrix: Any, size: int, column: int, scratch: Any) -> None:
    """Zero a column below its subdiagonal by a reflection of both sides.

    With x the column below the diagonal, v = x + sign(x_1) |x| e_1 and H = I - 2 v v^T / v^T v, the
    rest A of the matrix becomes A - v w^T - w v^T, w = p - (p^T v / v^T v) v, p = 2 A v / v^T v.
    """
    v, p = 4 * LANES, (4 + size) * LANES
    norm, factor, dot = 0, LANES, 2 * LANES
    for i in range(LANES):
        scratch[norm + i] = 0.0
    for row in range(column + 1, size):
        x = (row * size + column) * LANES
        for i in range(LANES):
            scratch[v + row * LANES + i] = matrix[x + i]
        for i in range(LANES):
            scratch[norm + i] += matrix[x + i] * matrix[x + i]
    head = v + (column + 1) * LANES
    below = ((column + 1) * size + column) * LANES
    for i in range(LANES):
        length, first, square = np.sqrt(scratch[norm + i]), scratch[head + i], scratch[norm + i]
        signed = -length if first < 0.0 else length
        # v^T v = 2 (|x|^2 + |x_1| |x|); a column of zeros stays as it is.
        half = square + first * signed
        scratch[factor + i] = 1.0 / half if half > 0.0 else 0.0
        scratch[head + i] = first + signed
        matrix[below + i] = -signed
    for i in range(LANES):
        scratch[dot + i] = 0.0
    for row in range(column + 1, size):
        for i in range(LANES):
            scratch[p + row * LANES + i] = 0.0
        for other in range(column + 1, size):
            high, low = (row, other) if row >= other else (other, row)
            a = (high * size + low) * LANES
            for i in range(LANES):
                scratch[p + row * LANES + i] += matrix[a + i] * scratch[v + other * LANES + i]
        for i in range(LANES):
            scratch[p + row * LANES + i] *= scratch[factor + i]
        for i in range(LANES):
            scratch[dot + i] += scratch[p + row * LANES + i] * scratch[v + row * LANES + i]
    for i in range(LANES):
        scratch[dot + i] *= 0.5 * scratch[factor + i]
    for row in range(column + 1, size):
        for i in range(LANES):
            scratch[p + row * LANES + i] -= scratch[dot + i] * scratch[v + row * LANES + i]
    for row in range(column + 1, size):
        for other in range(column + 1, row + 1):
            a, r, o = (row * size + other) * LANES, row * LANES, other * LANES
            for i in range(LANES):
                matrix[a + i] -= (
                    scratch[v + r + i] * scratch[p + o + i]
                    + scratch[p + r + i] * scratch[v + o + i]
                )


@kernel
def _bisect(matrix: Any, size: int, scratch: Any, at: int, out: Any) -> None:
    """The top of the tridiagonal matrix that is left, between Gershgorin's bounds.

    All pivots of T - x I are negative iff x exceeds every eigenvalue.
    """
    low, high, pivot, above = 0, LANES, 2 * LANES, 3 * LANES
    tiny = 1e-300
    for i in range(LANES):
        scratch[low + i] = -np.inf
        scratch[high + i] = -np.inf
    for row in range(size):
        d = row * (size + 1) * LANES
        left = (row * size + row - 1) * LANES if row > 0 else -1
        right = ((row + 1) * size + row) * LANES if row < size - 1 else -1
        for i in range(LANES):
            scratch[pivot + i] = 0.0
        if left >= 0:
            for i in range(LANES):
                scratch[pivot + i] += abs(matrix[left + i])
        if right >= 0:
            for i in range(LANES):
                scratch[pivot + i] += abs(matrix[right + i])
        for i in range(LANES):
            # The top is at least every diagonal entry.
            diagonal, reach = matrix[d + i], matrix[d + i] + scratch[pivot + i]
            lowest, highest = scratch[low + i], scratch[high + i]
            scratch[low + i] = diagonal if diagonal > lowest else lowest
            scratch[high + i] = reach if reach > highest else highest
    for _ in range(_HALVINGS):
        for i in range(LANES):
            x = 0.5 * (scratch[low + i] + scratch[high + i])
            scratch[pivot + i] = matrix[i] - x
            scratch[above + i] = scratch[pivot + i]
        for row in range(1, size):
            d, e = row * (size + 1) * LANES, (row * size + row - 1) * LANES
            for i in range(LANES):
                x = 0.5 * (scratch[low + i] + scratch[high + i])
                q, highest = scratch[pivot + i], scratch[above + i]
                q = q if abs(q) > tiny else -tiny
                q = (matrix[d + i] - x) - matrix[e + i] * matrix[e + i] / q
                scratch[pivot + i] = q
                scratch[above + i] = q if q > highest else highest
        for i in range(LANES):
            x, highest = 0.5 * (scratch[low + i] + scratch[high + i]), scratch[above + i]
            bottom, top = scratch[low + i], scratch[high + i]
            scratch[high + i] = x if highest < 0.0 else top
            scratch[low + i] = bottom if highest < 0.0 else x
    for i in range(LANES):
        out[at + i] = scratch[high + i]
