"""The eigenpairs of a Hessian above a level, followed as theta moves slowly."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from simulator.arrays import Array
from simulator.checks import positive
from simulator.curvature.ritz_solver import Product, RitzSolver
from simulator.curvature.tracker import DENSE_LIMIT
from simulator.models import Objective
from simulator.seeding import generator

__all__ = ["LeadingPairs", "Pairs"]


class Pairs(NamedTuple):
    """Leading eigenpairs at one theta.

    Attributes
    ----------
    values : array, shape (pairs,)
        Largest first. The last one lies below the level that was asked for, unless there are as
        many pairs as allowed.
    vectors : array, shape (pairs, P)
        Orthonormal, in double precision.
    products : int
        Hessian-vector products spent.
    converged : bool
        Whether all of them reached the accuracy asked for.
    """

    values: Array
    vectors: Array
    products: int
    converged: bool


class LeadingPairs:
    """Follows the eigenpairs above a level, and the next one; call it after each ``gradient``.

    It shares `RitzSolver` with the tracker of the sharpness. Theta must move slowly: the pairs of
    the last theta are the start for the next, without a search.

    Parameters
    ----------
    objective : Objective
        In double precision. Its last ``gradient`` set the theta.
    most : int
        Largest number of pairs.
    tol : float
        Relative error aimed at in each value: residual^2 / gap, or the residual where the gap is
        smaller.
    seed : int
        Chooses the random start vectors.
    """

    def __init__(self, objective: Objective, most: int, tol: float, seed: int) -> None:
        self._objective, self._most = objective, min(most, objective.size)
        self._tol = positive("accuracy", tol)
        self._rng = generator(seed, "curvature")
        self._solvers: dict[int, RitzSolver] = {}
        self._wanted = 1

    def above(
        self, level: float, place: Array, gradient: Array, root: Array | None = None
    ) -> Pairs:
        """The pairs whose values exceed a level, and at least one more.

        Parameters
        ----------
        level : float
        place, gradient : arrays, shape (P,)
            That theta, and the gradient there.
        root : array, shape (P,), optional
            The operator is then H between two factors of diag(root).
        """
        if self._objective.size <= DENSE_LIMIT:
            return self._dense(level, root)
        product = self._product(root)
        direction = gradient if root is None else gradient * root
        length = float(np.linalg.norm(direction))
        unit = direction / length if 0.0 < length < np.inf else None
        spent = 0
        while True:
            solver = self._solver()
            estimate = solver.solve(product, place, unit)
            spent += estimate.products
            values, vectors = solver.pairs
            found = int((values > level).sum())
            if found <= self._wanted or self._wanted >= self._most or not len(values):
                break
            self._wanted, before = self._wanted + 1, solver
            self._solver().adopt(before)
        shown = min(max(self._wanted, found), len(values), self._most)
        pairs = Pairs(values[:shown].copy(), vectors[:shown].copy(), spent, estimate.converged)
        if max(found, 1) < self._wanted:
            self._wanted = max(found, 1)
            self._solver().adopt(solver)
        return pairs

    def _solver(self) -> RitzSolver:
        """That for as many pairs as are wanted now."""
        if self._wanted not in self._solvers:
            made = RitzSolver(
                self._objective.size, self._wanted, self._tol, self._objective.dtype, self._rng
            )
            self._solvers[self._wanted] = made
        return self._solvers[self._wanted]

    def _product(self, root: Array | None) -> Product:
        if root is None:
            return self._objective.hvp

        def product(v: Array, out: Array) -> None:
            self._objective.hvp(v * root, out)
            out *= root

        return product

    def _dense(self, level: float, root: Array | None) -> Pairs:
        hessian = self._objective.hessian()
        if root is not None:
            hessian = hessian * root * root[:, None]
        if not np.isfinite(hessian).all():
            return Pairs(np.empty(0), np.empty((0, len(hessian))), len(hessian), False)
        ascending, columns = np.linalg.eigh(hessian)
        values, vectors = ascending[::-1], columns.T[::-1]
        shown = min(int((values > level).sum()) + 1, self._most)
        return Pairs(values[:shown].copy(), vectors[:shown].copy(), len(hessian), True)
