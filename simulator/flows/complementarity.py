"""The semidefinite complementarity problem that an update of the central flow solves.

Given a symmetric matrix A (k, k) and a symmetric positive semidefinite map B of symmetric matrices,
find X >= 0 and Y = A + B[X] >= 0 with <X, Y> = 0: X is the covariance of the oscillation, and Y the
distance to the threshold. X minimises <X, B[X]> / 2 + <A, X> over X >= 0.

Symmetric matrices have coordinates (k (k + 1) / 2,) in the orthonormal basis E_ii and
(e_i e_j' + e_j e_i') / sqrt(2), i < j, in the order of `pairs_of`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from simulator.arrays import Array

__all__ = ["Solution", "coordinates", "matrix", "pairs_of", "solve"]

# Of the scaled problem.
_SOLVED = 1e-14
_STEPS, _HALVINGS = 60, 30
# Above this residual Newton's method has stalled, which happens once in some thousand problems.
_STALLED = 1e-10
_ADDED = (*(0.25**n for n in range(12)), 0.0)


class Solution(NamedTuple):
    """The solution of the problem.

    Attributes
    ----------
    x, y : arrays, shape (k, k)
        Both positive semidefinite.
    residual : float
        Largest entry of A + B[X] - Y, relative to that of A; infinite without a solution.
    """

    x: Array
    y: Array
    residual: float


def pairs_of(k: int) -> list[tuple[int, int]]:
    """The index pairs (i, j), i <= j, of the basis, row by row."""
    return [(i, j) for i in range(k) for j in range(i, k)]


def coordinates(a: Array) -> Array:
    """Coordinates (k (k + 1) / 2,) of a symmetric matrix (k, k)."""
    i, j = np.triu_indices(len(a))
    return np.where(i == j, 1.0, np.sqrt(2.0)) * a[i, j]


def matrix(x: Array) -> Array:
    """The symmetric matrix (k, k) of these coordinates (k (k + 1) / 2,)."""
    k = (int(np.sqrt(8 * x.size + 1)) - 1) // 2
    i, j = np.triu_indices(k)
    a = np.zeros((k, k))
    a[i, j] = a[j, i] = np.where(i == j, 1.0, np.sqrt(0.5)) * x
    return a


def solve(a: Array, b: Array) -> Solution:
    """Solve 0 <= X, A + B[X] >= 0, <X, A + B[X]> = 0.

    The linear case is tried first, then semismooth Newton on Z = X - Y.

    Parameters
    ----------
    a : array, shape (k, k)
    b : array, shape (k (k + 1) / 2, k (k + 1) / 2)
        B in coordinates.

    Returns
    -------
    Solution
    """
    zero = np.zeros_like(a)
    if np.linalg.eigvalsh(a)[0] >= 0.0:
        return Solution(zero, a, 0.0)
    a_scale, b_scale = float(np.abs(a).max()), float(np.trace(b)) / len(b)
    if not 0.0 < a_scale / b_scale < np.inf if b_scale > 0.0 else True:
        return Solution(zero, zero, np.inf)
    scaled, b = coordinates(a) / a_scale, b / b_scale
    linear = _linear(scaled, b)
    x, y, residual = linear if linear is not None else _nonlinear(scaled, b)
    return Solution(x * (a_scale / b_scale), y * a_scale, residual)


def _linear(a: Array, b: Array) -> tuple[Array, Array, float] | None:
    """X = -B^-1 A, if it is positive semidefinite."""
    try:
        x = np.linalg.solve(b, -a)
    except np.linalg.LinAlgError:
        return None
    residual = float(np.abs(a + b @ x).max())
    full = matrix(x)
    if not residual < _SOLVED * 100 or np.linalg.eigvalsh(full)[0] < 0.0:
        return None
    return full, np.zeros_like(full), residual


def _nonlinear(a: Array, b: Array) -> tuple[Array, Array, float]:
    """Newton's method; if it stalls, continuation from a better conditioned B."""
    z, plus, residual = _newton(a, b, -a)
    if residual > _STALLED:
        z = -a
        for added in _ADDED:
            z, plus, residual = _newton(a, b + added * np.eye(len(b)), z)
    return matrix(plus), matrix(plus - z), residual


def _newton(a: Array, b: Array, z: Array) -> tuple[Array, Array, float]:
    """Semismooth Newton's method on G(Z) = A + B[Z+] - (Z+ - Z): Z, Z+, and the largest |G|."""
    identity = np.eye(len(b))
    plus = _positive_part(z)
    g = a + b @ plus - (plus - z)
    for _ in range(_STEPS):
        size = float(np.linalg.norm(g))
        if size < _SOLVED:
            break
        jacobian = (b - identity) @ _slope(z) + identity
        try:
            step = np.linalg.solve(jacobian, -g)
        except np.linalg.LinAlgError:
            break
        for _ in range(_HALVINGS):
            tried = z + step
            tried_plus = _positive_part(tried)
            tried_g = a + b @ tried_plus - (tried_plus - tried)
            if np.linalg.norm(tried_g) < size:
                break
            step = 0.5 * step
        else:
            break
        z, plus, g = tried, tried_plus, tried_g
    return z, plus, float(np.abs(g).max())


def _positive_part(z: Array) -> Array:
    """Coordinates of Z+."""
    values, q = np.linalg.eigh(matrix(z))
    return coordinates((q * np.maximum(values, 0.0)) @ q.T)


def _slope(z: Array) -> Array:
    """The derivative of the coordinates of Z+ with respect to those of Z."""
    values, q = np.linalg.eigh(matrix(z))
    k, above = len(values), (values > 0).astype(float)
    gap = values[:, None] - values
    close = np.abs(gap) <= 1e-300
    positive = np.maximum(values, 0.0)
    factor = np.where(
        close,
        0.5 * (above[:, None] + above),
        (positive[:, None] - positive) / np.where(close, 1.0, gap),
    )
    i, j = np.triu_indices(k)
    # E_s in the eigenbasis, times the factors, and back.
    turned = q[i][:, :, None] * q[j][:, None, :]
    turned = np.where(i == j, 0.5, np.sqrt(0.5))[:, None, None] * (turned + turned.mT)
    back = q @ (factor * turned) @ q.T
    return (np.where(i == j, 1.0, np.sqrt(2.0)) * back[:, i, j]).T
