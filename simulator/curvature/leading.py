"""The leading eigenpairs of a Hessian above a level, tracked as theta changes slowly."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from simulator.arrays import Array
from simulator.checks import positive
from simulator.curvature.ritz_solver import Product, RitzSolver
from simulator.curvature.tracker import DENSE_LIMIT, SINGLE_ACCURACY
from simulator.models import Objective
from simulator.seeding import generator

__all__ = ["LeadingPairs", "Pairs"]


class Pairs(NamedTuple):
    """Leading eigenpairs at given parameters.

    Attributes
    ----------
    values : array, shape (pairs,)
        Largest first: all above the level, at least the first.
    vectors : array, shape (pairs, P)
        Orthonormal, in double precision.
    products : int
        Hessian-vector products spent.
    converged : bool
        Whether all of them reached the tolerance.
    """

    values: Array
    vectors: Array
    products: int
    converged: bool


class LeadingPairs:
    """Track the eigenpairs above a level; call it after each ``gradient``.

    It shares `RitzSolver` with the tracker of the sharpness. Theta must change slowly: the pairs of
    the last theta are the start for the next, without a search. Products are in single precision
    where it suffices, at half the cost.

    Parameters
    ----------
    objective : Objective
        In double precision. Its last ``gradient`` set the theta.
    most : int
        Largest number of pairs.
    tol : float
        Relative tolerance of each value: residual^2 / gap, or the residual if the gap is smaller.
    seed : int
        Seed of the start vectors.
    """

    def __init__(self, objective: Objective, most: int, tol: float, seed: int) -> None:
        self._objective, self._most = objective, min(most, objective.size)
        self._tol = positive("accuracy", tol)
        self._rng = generator(seed, "curvature")
        self._solvers: dict[tuple[np.dtype[Any], int], RitzSolver] = {}
        self._wanted = 1

    def above(
        self, level: float, place: Array, gradient: Array, root: Array | None = None
    ) -> Pairs:
        """The pairs whose values exceed a level, at least the first.

        Parameters
        ----------
        level : float
        place, gradient : arrays, shape (P,)
            Theta and the gradient there.
        root : array, shape (P,), optional
            The operator is then H between two factors of diag(root).
        """
        if self._objective.size <= DENSE_LIMIT:
            return self._dense(level, root)
        direction = gradient if root is None else gradient * root
        length = float(np.linalg.norm(direction))
        unit = direction / length if 0.0 < length < np.inf else None
        twin = self._objective.single() if self._tol >= SINGLE_ACCURACY else None
        if twin is None:
            return self._follow(self._objective, level, place, unit, root)
        first = self._follow(twin, level, place, unit, root)
        if first.converged:
            return first
        second = self._follow(self._objective, level, place, unit, root)
        return second._replace(products=first.products + second.products)

    def _follow(
        self,
        objective: Objective,
        level: float,
        place: Array,
        unit: Array | None,
        root: Array | None,
    ) -> Pairs:
        """The pairs, from products of this objective."""
        product, spent, dtype = _product(objective, root), 0, objective.dtype
        while True:
            solver = self._solver(dtype)
            estimate = solver.solve(product, place, unit)
            spent += estimate.products
            values, vectors = solver.pairs
            found = int((values > level).sum())
            if found <= self._wanted or self._wanted >= self._most or not len(values):
                break
            self._wanted, before = self._wanted + 1, solver
            self._solver(dtype).adopt(before)
        shown = min(max(self._wanted, found), len(values), self._most)
        kept = values[:shown].copy(), vectors[:shown].astype(float)
        if max(found, 1) < self._wanted:
            self._wanted = max(found, 1)
            self._solver(dtype).adopt(solver)
        return Pairs(*kept, spent, estimate.converged)

    def _solver(self, dtype: np.dtype[Any]) -> RitzSolver:
        """That for as many pairs as are wanted now."""
        key = (dtype, self._wanted)
        if key not in self._solvers:
            self._solvers[key] = RitzSolver(
                self._objective.size, self._wanted, self._tol, dtype, self._rng
            )
        return self._solvers[key]

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


def _product(objective: Objective, root: Array | None) -> Product:
    if root is None:
        return objective.hvp
    scale = root.astype(objective.dtype)

    def product(v: Array, out: Array) -> None:
        objective.hvp(v * scale, out)
        out *= scale

    return product
