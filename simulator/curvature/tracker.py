"""The sharpness along training: what is measured, and in which precision.

Values are reported in double precision whatever they were found with, and a Hessian too indefinite
or too cancelled for single precision is followed in double.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

from simulator.checks import count, positive
from simulator.curvature.following import Estimate, Follower
from simulator.models import Array, Objective
from simulator.seeding import generator

__all__ = ["Tracker"]

# Up to this many parameters the dense Hessian is cheaper than following it.
DENSE_LIMIT = 48
# Down to this accuracy products in single precision will do, at half the cost.
_SINGLE_ACCURACY = 1e-6
# One that did not is not asked again for so many measurements.
_DISTRUST = 16


class Tracker:
    """Follows the top of an objective's Hessian; call ``measure`` after each ``gradient``.

    Parameters
    ----------
    objective : Objective
        Whose last ``gradient`` set the theta.
    top_k : int
        Eigenvalues wanted.
    accuracy : float
        Relative error aimed at in each, estimated from its residual r and the gap to the next
        Ritz value as r^2 / gap (Kato-Temple), or r where the gap is smaller.
    seed : int
        Chooses the random start vectors.
    preconditioner : array, shape (P,), optional
        P of the pre-conditioned sharpness: the top of P^-1 H, through its symmetric form
        P^-1/2 H P^-1/2. May be changed between measurements.
    """

    def __init__(
        self,
        objective: Objective,
        top_k: int = 1,
        accuracy: float = 1e-5,
        seed: int = 0,
        preconditioner: Array | None = None,
    ) -> None:
        self._objective = objective
        self._wanted = min(count("top_k", top_k, 1), objective.size)
        self._top_k = top_k
        self._accuracy = positive("accuracy", accuracy)
        self._rng = generator(seed, "curvature")
        self.preconditioner = preconditioner
        self._measured = self._distrusted_until = 0

    def measure(self, place: Array | None = None) -> Estimate:
        """The top eigenvalues where the objective stands now.

        Parameters
        ----------
        place : array, shape (P,), optional
            That theta. With it the nearer one of the last two measurements is built upon, without
            it the last.
        """
        with np.errstate(all="ignore"):
            small = self._objective.size <= DENSE_LIMIT
            estimate = self._dense() if small else self._follow(place)
        outside = self._objective.eigenvalues_outside(self._top_k)
        if not outside.size:
            return estimate
        # NaN, which pads a short spectrum, sorts last and so comes first to be replaced.
        values = -np.sort(-np.append(estimate.values, outside))[: self._top_k]
        return replace(estimate, values=values)

    @cached_property
    def _double(self) -> Follower:
        """In the objective's own precision."""
        return self._follower(self._objective.dtype)

    @cached_property
    def _single(self) -> Follower:
        return self._follower(np.dtype("float32"))

    def _follower(self, dtype: np.dtype[Any]) -> Follower:
        return Follower(self._objective.size, self._wanted, self._accuracy, dtype, self._rng)

    def _follow(self, place: Array | None) -> Estimate:
        self._measured += 1
        spent = 0
        if self._accuracy >= _SINGLE_ACCURACY and self._measured > self._distrusted_until:
            twin = self._objective.single()
            if twin is not None:
                estimate = self._follow_twin(twin, place)
                if estimate.converged:
                    return estimate
                spent = estimate.products
                self._distrusted_until = self._measured + _DISTRUST
        estimate = self._double.follow(self._product_of(self._objective), place)
        return replace(estimate, products=estimate.products + spent)

    def _follow_twin(self, twin: Objective, place: Array | None) -> Estimate:
        """By products in single precision; now and then one in double asks whether they will do."""
        due = self._single.is_fresh
        estimate = self._single.follow(self._product_of(twin), place)
        estimate = replace(estimate, values=estimate.values.astype(float))
        if not (due and estimate.converged):
            return estimate
        u = self._single.leading.astype(self._objective.dtype)
        image = np.empty_like(u)
        self._product_of(self._objective)(u, image)
        off = abs((u @ image) / (u @ u) - estimate.values[0])
        agrees = bool(off <= self._accuracy * abs(estimate.values[0]))
        return replace(estimate, products=estimate.products + 1, converged=agrees)

    def _product_of(self, objective: Objective) -> Callable[[Array, Array], None]:
        if self.preconditioner is None:
            return objective.hvp
        root = np.sqrt(self.preconditioner).astype(objective.dtype)

        def product(v: Array, out: Array) -> None:
            objective.hvp(v / root, out)
            out /= root

        return product

    def _padded(self, values: Array) -> Array:
        return np.pad(values, (0, self._top_k - values.size), constant_values=np.nan)

    def _dense(self) -> Estimate:
        hessian = self._objective.hessian()
        if self.preconditioner is not None:
            root = np.sqrt(self.preconditioner)
            hessian = hessian / root / root[:, None]
        finite = np.isfinite(hessian).all()
        values = np.linalg.eigvalsh(hessian)[::-1] if finite else np.full(len(hessian), np.nan)
        products = self._objective.size
        return Estimate(self._padded(values[: self._wanted]), 0.0, products, bool(finite))
