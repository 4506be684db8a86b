"""The top eigenvalues of many small symmetric matrices at once, one in each lane.

Householder's reduction to tridiagonal form, then bisection by Sturm counts: no pivots and no
branches, so that all lanes take the same steps. To rounding, relative to the largest |eigenvalue|.
Larger matrices go to LAPACK one by one, which is as fast from there on.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.numerics.blocks import LANES
from simulator.numerics.jit import kernel

__all__ = ["scratch_rows", "top_eigenvalues"]

# The size, never the number of runs, may decide: bits must not depend on it.
_LARGEST_IN_LANES = 12
# Halvings of an interval that holds the whole spectrum.
_HALVINGS = 56


def scratch_rows(size: int) -> int:
    """Rows that `top_eigenvalues` needs for itself."""
    return 4 + 2 * size


@kernel
def top_eigenvalues(
    rows: Any, matrix: int, size: int, scratch: int, runs: int, out: Any, to: int
) -> None:
    """Largest eigenvalues into row ``to`` of ``out``, of the first ``runs`` lanes at least.

    Entry (i, j) of the matrices is in row ``matrix`` + i * size + j of ``rows`` (rows, LANES);
    the lower triangle is read, and destroyed. Rows from ``scratch`` on are for scratch.
    """
    if size > _LARGEST_IN_LANES:
        _by_lapack(rows, matrix, size, runs, out, to)
        return
    for column in range(size - 2):
        _reflect(rows, matrix, size, column, scratch)
    _bisect(rows, matrix, size, scratch, out, to)


@kernel
def _by_lapack(rows: Any, matrix: int, size: int, runs: int, out: Any, to: int) -> None:
    one = np.empty((size, size))
    for lane in range(runs):
        finite = True
        for i in range(size):
            for j in range(i + 1):
                entry = rows[matrix + i * size + j, lane]
                one[i, j] = one[j, i] = entry
                finite = finite and abs(entry) < np.inf
        out[to, lane] = np.linalg.eigvalsh(one)[size - 1] if finite else np.nan


@kernel
def _reflect(rows: Any, matrix: int, size: int, column: int, scratch: int) -> None:
    """Zero a column below its subdiagonal by a reflection of both sides.

    With x the column below the diagonal, v = x + sign(x_1) |x| e_1 and H = I - 2 v v^T / v^T v, the
    rest A of the matrix becomes A - v w^T - w v^T, w = p - (p^T v / v^T v) v, p = 2 A v / v^T v.
    """
    norm, factor, dot = scratch, scratch + 1, scratch + 2
    v, p = scratch + 4, scratch + 4 + size
    for i in range(LANES):
        rows[norm, i] = 0.0
    for row in range(column + 1, size):
        x = matrix + row * size + column
        for i in range(LANES):
            rows[v + row, i] = rows[x, i]
        for i in range(LANES):
            rows[norm, i] += rows[x, i] * rows[x, i]
    head, below = v + column + 1, matrix + (column + 1) * size + column
    for i in range(LANES):
        square, first = rows[norm, i], rows[head, i]
        length = np.sqrt(square)
        signed = -length if first < 0.0 else length
        # v^T v = 2 (|x|^2 + |x_1| |x|); a column of zeros stays as it is.
        half = square + first * signed
        rows[factor, i] = 1.0 / half if half > 0.0 else 0.0
        rows[head, i] = first + signed
        rows[below, i] = -signed
    for i in range(LANES):
        rows[dot, i] = 0.0
    for row in range(column + 1, size):
        for i in range(LANES):
            rows[p + row, i] = 0.0
        for other in range(column + 1, size):
            high, low = (row, other) if row >= other else (other, row)
            a = matrix + high * size + low
            for i in range(LANES):
                rows[p + row, i] += rows[a, i] * rows[v + other, i]
        for i in range(LANES):
            rows[p + row, i] *= rows[factor, i]
        for i in range(LANES):
            rows[dot, i] += rows[p + row, i] * rows[v + row, i]
    for i in range(LANES):
        rows[dot, i] *= 0.5 * rows[factor, i]
    for row in range(column + 1, size):
        for i in range(LANES):
            rows[p + row, i] -= rows[dot, i] * rows[v + row, i]
    for row in range(column + 1, size):
        for other in range(column + 1, row + 1):
            a = matrix + row * size + other
            for i in range(LANES):
                rows[a, i] -= (
                    rows[v + row, i] * rows[p + other, i] + rows[p + row, i] * rows[v + other, i]
                )


@kernel
def _bisect(rows: Any, matrix: int, size: int, scratch: int, out: Any, to: int) -> None:
    """The top of the tridiagonal matrix that is left, between Gershgorin's bounds.

    All pivots of T - x I are negative iff x exceeds every eigenvalue.
    """
    low, high, pivot, above = scratch, scratch + 1, scratch + 2, scratch + 3
    tiny = 1e-300
    for i in range(LANES):
        rows[low, i] = rows[high, i] = -np.inf
    for row in range(size):
        d = matrix + row * (size + 1)
        for i in range(LANES):
            rows[pivot, i] = rows[d, i]
        if row > 0:
            for i in range(LANES):
                rows[pivot, i] += abs(rows[d - 1, i])
        if row < size - 1:
            for i in range(LANES):
                rows[pivot, i] += abs(rows[d + size, i])
        for i in range(LANES):
            # The top is at least every diagonal entry.
            diagonal, reach = rows[d, i], rows[pivot, i]
            lowest, highest = rows[low, i], rows[high, i]
            rows[low, i] = diagonal if diagonal > lowest else lowest
            rows[high, i] = reach if reach > highest else highest
    for _ in range(_HALVINGS):
        for i in range(LANES):
            x = 0.5 * (rows[low, i] + rows[high, i])
            q = rows[matrix, i] - x
            rows[pivot, i] = q
            rows[above, i] = q
        for row in range(1, size):
            d = matrix + row * (size + 1)
            for i in range(LANES):
                x = 0.5 * (rows[low, i] + rows[high, i])
                q, highest, e = rows[pivot, i], rows[above, i], rows[d - 1, i]
                q = q if abs(q) > tiny else -tiny
                q = (rows[d, i] - x) - e * e / q
                rows[pivot, i] = q
                rows[above, i] = q if q > highest else highest
        for i in range(LANES):
            bottom, top, highest = rows[low, i], rows[high, i], rows[above, i]
            x = 0.5 * (bottom + top)
            rows[high, i] = x if highest < 0.0 else top
            rows[low, i] = bottom if highest < 0.0 else x
    for i in range(LANES):
        out[to, i] = rows[high, i]
