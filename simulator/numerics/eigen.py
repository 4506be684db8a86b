"""Rayleigh-Ritz for the top of a symmetric operator, with a model of it from another place.

The caller owns the products, so any Hessian will do: it fills ``images[i] = H basis[i]``, calls
``ritz`` and ``unfinished``, and finds in ``basis[size]`` the direction to multiply next, once it is
made orthogonal to the rest: the residual of a Ritz pair, corrected by the model (Davidson, J.
Comput. Phys. 17, 87, 1975; without a model, Lanczos with full reorthogonalisation).

A model is a frame of orthonormal rows (kept, P) with their eigenvalues: H nearby is taken to be
``frame.T @ diag(stale) @ frame``. ``learn`` makes a new one from an old one and what was just seen.
Vectors are rows; ``vectors[pair]`` holds the coefficients of a Ritz vector in the basis.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.numerics.jit import kernel

__all__ = ["learn", "orthonormalize", "restart", "ritz", "unfinished"]


@kernel
def orthonormalize(basis: Any, size: int) -> float:
    """Make ``basis[size]`` a unit vector orthogonal to the rows before it.

    Returns the fraction of its length that was left; twice is enough against cancellation, and
    once where little was taken away.
    """
    row = basis[size]
    length = np.sqrt(np.dot(row, row))
    if not length > 0.0:
        return 0.0
    left = 1.0
    row /= length
    for _ in range(2):
        if size > 0:
            overlaps = np.dot(basis[:size], row)
            row -= np.dot(overlaps, basis[:size])
        remaining = np.sqrt(np.dot(row, row))
        if not remaining > 0.0:
            return 0.0
        left *= remaining
        row /= remaining
        if remaining > 0.99:
            break
    return left


@kernel
def ritz(
    basis: Any, images: Any, gram: Any, values: Any, vectors: Any, done: int, size: int
) -> float:
    """Ritz values, largest first, and vectors; returns the rounding of the products.

    ``gram`` is the operator in the basis (capacity, capacity), known for the first ``done`` rows.
    The operator is symmetric, its rounded products only nearly so: how far u.Hv and v.Hu lie apart
    is the rounding that they show. NaN where they have overflowed.
    """
    rounding = 0.0
    for row in range(done, size):
        column = np.dot(images[: row + 1], basis[row])
        mirror = np.dot(basis[: row + 1], images[row])
        for i in range(row + 1):
            gram[i, row] = column[i]
            gram[row, i] = column[i]
            if not np.isfinite(column[i]):
                return np.nan
            rounding = max(rounding, np.float64(abs(column[i] - mirror[i])))
    ascending, columns = np.linalg.eigh(np.ascontiguousarray(gram[:size, :size]))
    for pair in range(size):
        values[pair] = ascending[size - 1 - pair]
        vectors[pair, :size] = columns[:, size - 1 - pair]
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
    spare: float,
    strict: bool,
    floor: float,
    frame: Any,
    stale: Any,
) -> tuple[float, int]:
    """Residual norm of the first pair, and the first pair that is not good enough, or -1.

    The pair after the ``wanted`` ones is good enough at the relative error ``spare``, if its
    eigenvalue can then lie no higher than theirs. Errors are r^2 / gap; if ``strict`` those of the
    wanted ones are the residuals r, as an eigenvalue that nobody has seen may be as near as that.
    No error below ``floor``, the rounding of the products, can be asked for. Leaves the direction
    that would improve the pair in ``basis[size]``: value / (value - model) times its residual.
    """
    first = 0.0
    for pair in range(min(wanted + 1, size)):
        value, vector, row = values[pair], vectors[pair, :size], basis[size]
        row[:] = np.dot(vector, images[:size])
        row -= np.dot(value * vector, basis[:size])
        r = np.sqrt(np.dot(row, row))
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
        if pair < wanted or error > spare * scale or value + r > values[pair - 1]:
            if value > 0.0 and frame.shape[0] > 0:
                weights = np.dot(frame, row)
                for i in range(weights.size):
                    # A stale eigenvalue too near, or above, would drown all else.
                    close = min(max(stale[i] / value, 0.0), 0.97)
                    weights[i] *= close / (1.0 - close)
                row += np.dot(weights, frame)
            return first, pair
    return first, -1


@kernel
def restart(basis: Any, images: Any, gram: Any, vectors: Any, values: Any, size: int) -> None:
    """Shrink the basis to the Ritz vectors ``vectors`` (kept, size), and the products with it."""
    kept = vectors.shape[0]
    turned = np.ascontiguousarray(vectors)
    basis[:kept] = np.dot(turned, basis[:size])
    images[:kept] = np.dot(turned, images[:size])
    gram[:kept, :kept] = np.diag(values)


@kernel
def _only_seen(basis: Any, values: Any, y: Any, out: Any, out_values: Any) -> int:
    """A model of the Ritz vectors alone, of coefficients ``y`` (size, size)."""
    size = y.shape[0]
    kept = min(size, out.shape[0])
    np.dot(y[:kept], basis[:size], out[:kept])
    out_values[:kept] = values[:kept]
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
    out: Any,
    out_values: Any,
) -> int:
    """Put the model that knows what was just seen into ``out``; returns the number of its rows.

    The first ``held`` rows are the leading Ritz vectors. The others are the top of the operator on
    what is left of basis and old frame together: exact wherever a product was made, the old model
    elsewhere. Uses up ``images``.
    """
    rest, old = size - held, frame.shape[0]
    y = np.ascontiguousarray(vectors[:size, :size])
    out_values[:held] = values[:held]
    if old == 0:
        return _only_seen(basis, values, y, out, out_values)
    # The frame off the basis is ``mix @ (frame - overlaps @ ritz vectors)``, orthonormal.
    overlaps = np.dot(np.dot(frame, basis[:size].T), y.T)
    crossed = np.dot(np.dot(frame, images[:size].T), y.T)
    left, turn = np.linalg.eigh(np.dot(frame, frame.T) - np.dot(overlaps, overlaps.T))
    # A row that is nearly in the basis would be all rounding without it.
    new = int((left > 0.1).sum())
    mix = np.zeros((new, old), dtype=basis.dtype)
    for i in range(new):
        j = old - new + i
        mix[i] = turn[:, j] / np.sqrt(left[j])
    taken = np.dot(mix, overlaps)
    whole = np.zeros((rest + new, rest + new), dtype=basis.dtype)
    for i in range(rest):
        whole[i, i] = values[held + i]
    for i in range(new):
        for j in range(rest):
            whole[rest + i, j] = -taken[i, held + j] * values[held + j]
        for j in range(old):
            for k in range(rest):
                whole[rest + i, k] += mix[i, j] * crossed[j, held + k]
        for j in range(i + 1):
            # mix @ (frame - ...) @ frame.T = sqrt(left) turn.T, on both sides of the old values.
            a, b = old - new + i, old - new + j
            total = 0.0
            for k in range(old):
                total += turn[k, a] * stale[k] * turn[k, b]
            whole[rest + i, rest + j] = total * np.sqrt(left[a] * left[b])
    if not np.isfinite(whole.sum()):
        return _only_seen(basis, values, y, out, out_values)
    # eigh reads the lower triangle.
    ascending, columns = np.linalg.eigh(whole)
    kept = min(held + rest + new, out.shape[0])
    on_ritz = np.zeros((kept, size), dtype=basis.dtype)
    on_frame = np.zeros((kept, old), dtype=basis.dtype)
    for i in range(held):
        on_ritz[i, i] = 1.0
    for i in range(held, kept):
        column = columns[:, rest + new - 1 - (i - held)]
        out_values[i] = ascending[rest + new - 1 - (i - held)]
        on_ritz[i, held:] = column[:rest]
        for j in range(new):
            on_frame[i] += column[rest + j] * mix[j]
            on_ritz[i] -= column[rest + j] * taken[j]
    np.dot(np.dot(on_ritz, y), basis[:size], out[:kept])
    # The images are of no more use, and memory that is new is slow.
    more = images[:kept]
    np.dot(on_frame, frame, more)
    for i in range(kept):
        for j in range(out.shape[1]):
            out[i, j] += more[i, j]
    return kept
