"""Stochastic Lanczos quadrature: the eigenvalue density of an operator given by products.

Lanczos's method from a random unit vector v gives nodes t_i and weights w_i with
sum_i w_i p(t_i) = v.p(H)v for every polynomial p of degree below twice the depth. The mean over
random v is tr p(H) / P (Golub & Meurant 1994; Ubaru, Chen & Saad 2017).
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import eigh_tridiagonal

from simulator.arrays import Array
from simulator.curvature.ritz_solver import Product
from simulator.numerics import eigen

__all__ = ["above", "lanczos", "outliers"]

# A direction that keeps a smaller fraction of its length is rounding: the Krylov space is
# exhausted.
_EXHAUSTED = 1e-8
# Largest relative residual at which a Ritz pair counts as an eigenpair. The value is then accurate
# to the square of this, far below the error over the probes.
_FOUND = 1e-3


def lanczos(
    product: Product, apart: Array, depth: int, probes: int, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Quadratures of the operator on the complement of some vectors.

    Parameters
    ----------
    product : callable
        Writes the operator times its first argument (P,) into its second (P,).
    apart : array, shape (k, P)
        Orthonormal vectors. The operator is restricted to their orthogonal complement.
    depth : int
        Products per start vector; at most P - k.
    probes : int
        Number of start vectors, uniform on the unit sphere of the complement.
    rng : numpy.random.Generator

    Returns
    -------
    nodes : array, shape (probes, depth)
        In ascending order.
    weights : array, shape (probes, depth)
        Each row sums to 1.
    """
    krylov = _Krylov(product, apart, depth, rng)
    nodes, weights = np.empty((2, probes, depth))
    for probe in range(probes):
        nodes[probe], vectors, _ = krylov.ritz()
        weights[probe] = vectors[0] ** 2
    return nodes, weights


def outliers(
    product: Product, apart: Array, depth: int, most: int, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Eigenpairs on the same complement that Lanczos's method finds from one random start.

    Outliers are eigenvalues far from the others, at both ends. Without them a density estimate has
    a smaller and more nearly normal error, because a single large eigenvalue contributes the square
    of one component of the start vector.

    Returns
    -------
    values : array, shape (n,)
        Largest absolute value first; n is at most ``most``.
    vectors : array, shape (n, P)
        Orthonormal, and orthogonal to the given ones.
    """
    krylov = _Krylov(product, apart, depth, rng)
    values, vectors, last = krylov.ritz()
    order = np.argsort(-np.abs(values))
    found = order[(last * np.abs(vectors[-1]) <= _FOUND * np.abs(values))[order]][:most]
    return values[found], vectors[:, found].T @ krylov.basis[len(apart) : -1]


class _Krylov:
    """Lanczos's method with full reorthogonalization."""

    def __init__(
        self, product: Product, apart: Array, depth: int, rng: np.random.Generator
    ) -> None:
        self._product, self._held, self._depth, self._rng = product, len(apart), depth, rng
        self.basis = np.empty((len(apart) + depth + 1, apart.shape[1]))
        self.basis[: len(apart)] = apart
        self._spare = np.empty(self.basis.shape[1] + len(self.basis))

    def ritz(self) -> tuple[Array, Array, float]:
        """Ritz values (depth,), their vectors in the basis (depth, depth), and the last beta."""
        basis, held = self.basis, self._held
        alpha, beta = np.zeros((2, self._depth))
        self._random(held)
        for i in range(self._depth):
            row = held + i
            self._product(basis[row], basis[row + 1])
            alpha[i] = basis[row] @ basis[row + 1]
            if not np.isfinite(alpha[i]):
                unknown = np.full((self._depth, self._depth), np.nan)
                return unknown[0], unknown, np.nan
            beta[i] = np.linalg.norm(basis[row + 1])
            left = eigen.orthonormalize(basis, row + 1, self._spare)
            beta[i] *= left
            if left < _EXHAUSTED:
                # The rest is of another Krylov space and has no weight.
                beta[i] = 0.0
                if row + 1 < basis.shape[1]:
                    self._random(row + 1)
        values, vectors = eigh_tridiagonal(alpha, beta[:-1])
        return values, vectors, float(beta[-1])

    def _random(self, row: int) -> None:
        """Append a random unit vector orthogonal to the earlier ones to the basis."""
        left = 0.0
        while left < _EXHAUSTED:
            self.basis[row] = self._rng.standard_normal(self.basis.shape[1])
            left = eigen.orthonormalize(self.basis, row, self._spare)


def above(nodes: Array, weights: Array, level: float) -> tuple[Array, Array]:
    """Weight at or above a level, and a bound on the error of the quadrature in it.

    The true density has the same moments, so by the Chebyshev-Markov-Stieltjes inequalities the two
    differ by at most the Christoffel function 1 / sum_i l_i(level)^2 / w_i, where l_i is the
    polynomial that is 1 at node i and 0 at the others (Akhiezer 1965, section 2.5).

    Returns
    -------
    weight, bound : arrays, shape (probes,)
    """
    weight = np.where(nodes >= level, weights, 0.0).sum(axis=1)
    between = nodes[:, :, None] - nodes[:, None, :] + np.eye(nodes.shape[1])
    to_level = level - nodes
    with np.errstate(divide="ignore", over="ignore"):
        # Use logarithms, because products of many differences overflow.
        away = np.log(np.abs(to_level))
        lagrange = away.sum(axis=1, keepdims=True) - away - np.log(np.abs(between)).sum(axis=2)
        bound = 1.0 / (np.exp(2.0 * lagrange) / weights).sum(axis=1)
    at = np.abs(to_level).argmin(axis=1)[:, None]
    hit = np.take_along_axis(to_level, at, axis=1)[:, 0] == 0.0
    return weight, np.where(hit, np.take_along_axis(weights, at, axis=1)[:, 0], bound)
