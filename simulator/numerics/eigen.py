"""Rayleigh-Ritz for the top of a symmetric operator, with a model of it from another place.

The caller owns the products, so any Hessian will do: it fills ``images[i] = H basis[i]``, calls
``ritz`` and ``unfinished``, and finds in ``basis[size]`` the direction to multiply next, once it is
made orthogonal to the rest: the residual of a Ritz pair, corrected by the model (Davidson, J.
Comput. Phys. 17, 87, 1975; without a model, Lanczos with full reorthogonalisation).

A model is a frame of orthonormal rows (kept, P) with their eigenvalues: H nearby is taken to be
``frame.T @ diag(stale) @ frame``. ``learn`` makes a new one from an old one and what was just seen.
Vectors are rows; ``vectors[pair]`` holds the coefficients of a Ritz vector in the basis. ``spare``
is as long as a row of the basis and a column, ``work`` as `work_size` says.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.numerics.jit import kernel, nested
from simulator.numerics.linalg import dot, eigh, matrix_vector
from simulator.numerics.products import forward, multiply
from simulator.numerics.views import matrix, vector

__all__ = ["learn", "orthonormalize", "restart", "ritz", "unfinished", "work_size"]


@kernel
def orthonormalize(basis: Any, size: int, spare: Any) -> float:
    """Make ``basis[size]`` a unit vector orthogonal to the rows before it.

    Returns the fraction of its length that was left; twice is enough against cancellation, and
    once where little was taken away.
    """
    columns = basis.shape[1]
    row = vector(basis, size * columns, columns)
    before, shadow = matrix(basis, 0, size, columns), vector(spare, 0, columns)
    overlaps = vector(spare, columns, size)
    left, remaining = 1.0, np.sqrt(dot(row, row))
    for turn in range(3):
        if not remaining > 0.0:
            return 0.0
        for i in range(columns):
            row[i] /= remaining
        if turn > 0:
            left *= remaining
        if turn == 2 or (turn == 1 and remaining > 0.99):
            break
        if size > 0:
            matrix_vector(before, False, row, overlaps)
            matrix_vector(before, True, overlaps, shadow)
            for i in range(columns):
                row[i] -= shadow[i]
        remaining = np.sqrt(dot(row, row))
    return left


@kernel
def ritz(
    basis: Any,
    images: Any,
    gram: Any,
    values: Any,
    vectors: Any,
    done: int,
    size: int,
    work: Any,
) -> float:
    """Ritz values, largest first, and vectors; returns the rounding of the products.

    ``gram`` is the operator in the basis (capacity, capacity), known for the first ``done`` rows.
    The operator is symmetric, its rounded products only nearly so: how far u.Hv and v.Hu lie apart
    is the rounding that they show. NaN where they have overflowed.
    """
    columns, capacity, rounding = basis.shape[1], gram.shape[0], 0.0
    for row in range(done, size):
        u, image = vector(basis, row * columns, columns), vector(images, row * columns, columns)
        column, mirror = vector(gram, row * capacity, row + 1), vector(work, 0, row + 1)
        matrix_vector(matrix(images, 0, row + 1, columns), False, u, column)
        matrix_vector(matrix(basis, 0, row + 1, columns), False, image, mirror)
        for i in range(row + 1):
            if not np.isfinite(column[i]):
                return np.nan
            gram[i, row] = column[i]
            rounding = max(rounding, np.float64(abs(column[i] - mirror[i])))
    rows, ascending = matrix(work, 0, size, size), vector(work, size * size, size)
    for i in range(size):
        for j in range(size):
            rows[i, j] = gram[j, i]
    if eigh(rows, ascending) or not np.isfinite(ascending[0] + ascending[size - 1]):
        return np.nan
    for pair in range(size):
        values[pair] = ascending[size - 1 - pair]
        for i in range(size):
            vectors[pair, i] = rows[size - 1 - pair, i]
    return rounding


@kernel
def unfinished(
    basis: Any,
    images: Any,
    values: Any,
    vectors: Any,
    size: int,
    wanted: int,
    accuracy: float,
    enough: float,
    strict: bool,
    floor: float,
    frame: Any,
    stale: Any,
    spare: Any,
) -> tuple[float, int]:
    """Residual norm of the first pair, and the first pair that is not good enough, or -1.

    The pair after the ``wanted`` ones is good enough at the relative error ``enough``, if its
    eigenvalue can then lie no higher than theirs. Errors are r^2 / gap; if ``strict`` those of the
    wanted ones are the residuals r, as an eigenvalue that nobody has seen may be as near as that.
    No error below ``floor``, the rounding of the products, can be asked for. Leaves the direction
    that would improve the pair in ``basis[size]``: value / (value - model) times its residual.
    """
    columns, capacity, old = basis.shape[1], vectors.shape[0], frame.shape[0]
    row, more = vector(basis, size * columns, columns), vector(spare, 0, columns)
    first = 0.0
    for pair in range(min(wanted + 1, size)):
        value, weights = values[pair], vector(spare, columns, size)
        coefficients = vector(vectors, pair * capacity, size)
        matrix_vector(matrix(images, 0, size, columns), True, coefficients, row)
        for i in range(size):
            weights[i] = value * coefficients[i]
        matrix_vector(matrix(basis, 0, size, columns), True, weights, more)
        for i in range(columns):
            row[i] -= more[i]
        r = np.sqrt(dot(row, row))
        if pair == 0:
            first = r
        gap = value - values[pair + 1] if pair + 1 < size else 0.0
        # What has not been seen may lie between; without this, errors of twice what was asked for.
        gap = min(gap, 0.2 * abs(value))
        # r / gap first: squares of residuals may underflow.
        error = r * (r / gap) if gap > r and not (strict and pair < wanted) else r
        scale = abs(value)
        if not error > max(accuracy * scale, floor):
            continue
        if pair < wanted or error > enough * scale or value + r > values[pair - 1]:
            if value > 0.0 and old > 0:
                along = vector(spare, columns, old)
                matrix_vector(frame, False, row, along)
                for i in range(old):
                    # A stale eigenvalue too near, or above, would drown all else.
                    close = min(max(stale[i] / value, 0.0), 0.97)
                    along[i] *= close / (1.0 - close)
                matrix_vector(frame, True, along, more)
                for i in range(columns):
                    row[i] += more[i]
            return first, pair
    return first, -1


def restart(basis: Any, images: Any, gram: Any, vectors: Any, values: Any, size: int) -> None:
    """Shrink the basis to the Ritz vectors ``vectors`` (kept, size), and the products with it."""
    kept, turned = vectors.shape[0], np.ascontiguousarray(vectors)
    for rows in (basis, images):
        shrunk = np.empty_like(rows[:kept])
        forward(turned, rows[:size], shrunk)
        rows[:kept] = shrunk
    gram[:kept, :kept] = np.diag(values)


def work_size(capacity: int, rows: int) -> int:
    """Length of ``work`` for a basis and a frame of at most so many rows."""
    both = capacity + rows
    return capacity**2 + 6 * rows * capacity + 3 * rows**2 + rows + both**2 + both


@nested
def _only_seen(y: Any, seen: Any, values: Any, out: Any, out_values: Any) -> int:
    """A model of the Ritz vectors alone, of coefficients ``y`` (size, size)."""
    size, kept = y.shape[0], min(y.shape[0], out.shape[0])
    multiply(matrix(y, 0, kept, size), False, seen, False, matrix(out, 0, kept, out.shape[1]))
    for i in range(kept):
        out_values[i] = values[i]
    return kept


@kernel
def learn(
    basis: Any,
    images: Any,
    values: Any,
    vectors: Any,
    size: int,
    held: int,
    frame: Any,
    stale: Any,
    work: Any,
    out: Any,
    out_values: Any,
) -> int:
    """Put the model that knows what was just seen into ``out``; returns the number of its rows.

    The first ``held`` rows are the leading Ritz vectors. The others are the top of the operator on
    what is left of basis and old frame together: exact wherever a product was made, the old model
    elsewhere. Uses up ``images``.
    """
    rest, old, columns = size - held, frame.shape[0], basis.shape[1]
    seen, y = matrix(basis, 0, size, columns), matrix(work, 0, size, size)
    for i in range(size):
        for j in range(size):
            y[i, j] = vectors[i, j]
    if old == 0:
        return _only_seen(y, seen, values, out, out_values)
    at, area = size * size, old * size
    part, overlaps = matrix(work, at, old, size), matrix(work, at + area, old, size)
    crossed, taken = matrix(work, at + 2 * area, old, size), matrix(work, at + 3 * area, old, size)
    at, area = at + 4 * area, old * old
    turn, mix = matrix(work, at, old, old), matrix(work, at + area, old, old)
    left, at = vector(work, at + 2 * area, old), at + 2 * area + old
    # The frame off the basis is ``mix @ (frame - overlaps @ ritz vectors)``, orthonormal.
    multiply(frame, False, seen, True, part)
    multiply(part, False, y, True, overlaps)
    multiply(frame, False, matrix(images, 0, size, columns), True, part)
    multiply(part, False, y, True, crossed)
    multiply(frame, False, frame, True, turn)
    multiply(overlaps, False, overlaps, True, mix)
    for i in range(old):
        for j in range(i + 1):
            turn[j, i] = turn[i, j] - mix[i, j]
    failed = eigh(turn, left)
    # A row that is nearly in the basis would be all rounding without it.
    new = 0
    for i in range(old):
        new += 1 if left[i] > 0.1 else 0
    both = rest + new
    if failed or both == 0:
        return _only_seen(y, seen, values, out, out_values)
    for i in range(new):
        a = old - new + i
        for j in range(old):
            mix[i, j] = turn[a, j] / np.sqrt(left[a])
    if new > 0:
        multiply(matrix(mix, 0, new, old), False, overlaps, False, matrix(taken, 0, new, size))
    whole, ascending = matrix(work, at, both, both), vector(work, at + both * both, both)
    at += both * both + both
    # The upper triangle, which is what `eigh` reads.
    total = 0.0
    for i in range(rest):
        for j in range(i):
            whole[j, i] = 0.0
        whole[i, i] = values[held + i]
        total += whole[i, i]
    for i in range(new):
        for k in range(rest):
            coupling = -taken[i, held + k] * values[held + k]
            for j in range(old):
                coupling += mix[i, j] * crossed[j, held + k]
            whole[k, rest + i] = coupling
            total += coupling
        for j in range(i + 1):
            # mix @ (frame - ...) @ frame.T = sqrt(left) turn, on both sides of the old values.
            a, b = old - new + i, old - new + j
            inside = 0.0
            for k in range(old):
                inside += turn[a, k] * stale[k] * turn[b, k]
            inside *= np.sqrt(left[a] * left[b])
            whole[rest + j, rest + i] = inside
            total += inside
    if not np.isfinite(total) or eigh(whole, ascending):
        return _only_seen(y, seen, values, out, out_values)
    kept = min(held + both, out.shape[0])
    on_ritz, on_frame = matrix(work, at, kept, size), matrix(work, at + kept * size, kept, old)
    combined = matrix(work, at + kept * (size + old), kept, size)
    for i in range(kept):
        pick = both - 1 - (i - held)
        for j in range(old):
            on_frame[i, j] = 0.0
        if i < held:
            out_values[i] = values[i]
            for j in range(size):
                on_ritz[i, j] = 1.0 if i == j else 0.0
            continue
        out_values[i] = ascending[pick]
        for j in range(size):
            on_ritz[i, j] = whole[pick, j - held] if j >= held else 0.0
        for j in range(new):
            share = whole[pick, rest + j]
            for k in range(old):
                on_frame[i, k] += share * mix[j, k]
            for k in range(size):
                on_ritz[i, k] -= share * taken[j, k]
    multiply(on_ritz, False, y, False, combined)
    multiply(combined, False, seen, False, matrix(out, 0, kept, columns))
    # The images are of no more use, and memory that is new is slow.
    multiply(on_frame, False, frame, False, matrix(images, 0, kept, columns))
    for i in range(kept):
        for j in range(columns):
            out[i, j] += images[i, j]
    return kept
