"""One step of a restarted Rayleigh-Ritz iteration for the top of a symmetric operator.

The caller owns the products, so any Hessian will do: it fills ``images[i] = H basis[i]``, calls
``project`` and ``top_residual``, and finds in ``basis[size]`` the direction to multiply next: the
residual of a Ritz pair, made orthogonal to the basis (Davidson's method without preconditioner;
from one vector, Lanczos with full reorthogonalisation). Rows are vectors: basis (capacity, P).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.numerics.jit import kernel

__all__ = ["orthonormalize", "project", "residual", "restart"]


@kernel
def orthonormalize(basis: Any, size: int) -> float:
    """Make ``basis[size]`` a unit vector orthogonal to the rows before it.

    Returns the fraction of its length that was left; twice is enough against cancellation.
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
    return left


@kernel
def project(basis: Any, images: Any, gram: Any, size: int) -> None:
    """Append row ``size - 1`` to ``gram``, the operator in the basis (capacity, capacity)."""
    column = np.dot(images[:size], basis[size - 1])
    for i in range(size):
        # The operator is symmetric, its rounded products only nearly so.
        gram[i, size - 1] = column[i]
        gram[size - 1, i] = column[i]


@kernel
def residual(basis: Any, images: Any, vector: Any, value: float, size: int) -> float:
    """Put the residual of a Ritz pair into ``basis[size]``; returns its norm."""
    row = basis[size]
    row[:] = np.dot(vector, images[:size]) - value * np.dot(vector, basis[:size])
    return np.sqrt(np.dot(row, row))


@kernel
def restart(basis: Any, images: Any, gram: Any, vectors: Any, values: Any, size: int) -> None:
    """Shrink the basis to the Ritz vectors ``vectors`` (size, kept), and the products with it."""
    kept = vectors.shape[1]
    turned = np.ascontiguousarray(vectors.T)
    basis[:kept] = np.dot(turned, basis[:size])
    images[:kept] = np.dot(turned, images[:size])
    gram[:kept, :kept] = np.diag(values)
