"""The sharpness along training: when and in which precision it is measured.

Values are reported in double precision. A Hessian for which single precision does not suffice,
because it is very indefinite or cancels, is tracked in double precision.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

from simulator.arrays import Array
from simulator.checks import count, positive
from simulator.curvature.ritz_solver import Estimate, Product, RitzSolver, has_digits
from simulator.models import Objective
from simulator.seeding import generator

__all__ = ["SharpnessTracker"]

# Up to this many parameters the dense Hessian is cheaper than tracking.
DENSE_LIMIT = 48
# Down to this tolerance products in single precision suffice, at half the cost.
SINGLE_ACCURACY = 1e-6
# Hessians larger than this, or smaller than its inverse, overflow or underflow in single precision.
_SINGLE_RANGE = 1e18
# After a failure, single precision is not tried for so many measurements.
_DISTRUST = 16
# A change of the gradient's norm by this factor triggers a search.
_GRADIENT_JUMP = 2.0
# Without large changes, one in so many single-precision measurements is checked.
_CHECK_EVERY = 16
# After a search the residual in double precision may be this many times the tolerance.
_CHECKED_RESIDUAL = 10.0


class SharpnessTracker:
    """Track the top of an objective's Hessian; call ``measure`` after each ``gradient``.

    Parameters
    ----------
    objective : Objective
        Its last ``gradient`` sets theta.
    top_k : int
        Number of eigenvalues.
    tol : float
        Relative tolerance of each. The error is estimated from the residual r and the gap to the
        next Ritz value as r^2 / gap (Kato-Temple), or as r if the gap is smaller.
    seed : int
        Seed of the start vectors.
    preconditioner : array, shape (P,), optional
        P of the preconditioned sharpness: the top of P^-1 H, through its symmetric form P^-1/2 H
        P^-1/2. It may change between measurements.
    """

    # See `simulator.training.checkpoints`.
    MEMORY = ("_rng", "_measured", "_distrusted_until", "_gradient_norm", "_single", "_double")

    def __init__(
        self,
        objective: Objective,
        top_k: int = 1,
        tol: float = 1e-5,
        seed: int = 0,
        preconditioner: Array | None = None,
    ) -> None:
        self._objective = objective
        self._wanted = min(count("top_k", top_k, 1), objective.size)
        self._top_k = top_k
        self._tol = positive("sharpness_tol", tol)
        self._rng = generator(seed, "curvature")
        self.preconditioner = preconditioner
        self._measured = self._distrusted_until = 0
        self._gradient_norm = np.nan

    def measure(self, place: Array | None = None, gradient: Array | None = None) -> Estimate:
        """The top eigenvalues at the objective's current theta.

        Parameters
        ----------
        place : array, shape (P,), optional
            Theta. With it the measurement starts from the nearer of the last two, without it from
            the last.
        gradient : array, shape (P,), optional
            The gradient there, a direction that reveals a growing eigenvalue early.
        """
        with np.errstate(all="ignore"):
            small = self._objective.size <= DENSE_LIMIT
            estimate = self._dense() if small else self._follow(place, gradient)
        outside, copies = self._objective.eigenvalues_outside()
        if not copies:
            return estimate
        outside = np.repeat(outside, min(copies, self._top_k))
        # NaN pads a short spectrum; it sorts last and is replaced first.
        values = -np.sort(-np.append(estimate.values, outside))[: self._top_k]
        return replace(estimate, values=values)

    @cached_property
    def _double(self) -> RitzSolver:
        """Measure in the objective's own precision."""
        return self._solver(self._objective.dtype, np.inf)

    @cached_property
    def _single(self) -> RitzSolver:
        return self._solver(np.dtype("float32"), _SINGLE_RANGE)

    def _solver(self, dtype: np.dtype[Any], largest: float) -> RitzSolver:
        size, wanted = self._objective.size, self._wanted
        return RitzSolver(size, wanted, self._tol, dtype, self._rng, largest=largest)

    def _follow(self, place: Array | None, gradient: Array | None) -> Estimate:
        """Measure in single precision if it suffices, else in double."""
        self._measured += 1
        direction, jumped = self._read(gradient)
        # The residuals of small eigenvalues do not indicate a jump.
        jumped |= self._wanted > 1
        twin = self._objective.single() if self._single_will_do else None
        product = self._product_of(self._objective)
        if twin is None:
            return self._double.solve(product, place, direction, search=jumped)
        first = self._single.solve(self._product_of(twin), place, direction, search=jumped)
        if first.converged:
            first = self._checked(first, product)
        if first.converged:
            return first
        self._distrusted_until = self._measured + _DISTRUST
        search = jumped or first.searched
        second = self._double.solve(product, place, direction, search=search)
        self._single.adopt(self._double)
        return replace(second, products=first.products + second.products)

    def _checked(self, estimate: Estimate, product: Product) -> Estimate:
        """The estimate, checked by a double-precision product after a search and now and then.

        After a search the residual is at most the tolerance; a larger one in double precision shows
        that the two operators differ.
        """
        if self._measured % _CHECK_EVERY and not estimate.searched:
            return estimate
        u = self._single.leading.astype(self._objective.dtype)
        u /= np.linalg.norm(u)
        image = np.empty_like(u)
        product(u, image)
        off = abs(u @ image - estimate.values[0])
        if estimate.searched:
            off = max(off, np.linalg.norm(image - (u @ image) * u) / _CHECKED_RESIDUAL)
        agrees = bool(off <= self._tol * abs(estimate.values[0]))
        return replace(estimate, products=estimate.products + 1, converged=agrees)

    def _read(self, gradient: Array | None) -> tuple[Array | None, bool]:
        """The unit gradient (P,) in the operator's coordinates, and whether its norm has jumped."""
        if gradient is None:
            return None, False
        if self.preconditioner is not None:
            gradient = gradient / np.sqrt(self.preconditioner)
        largest = float(np.abs(gradient).max())
        if not 0.0 < largest < np.inf:
            return None, False
        direction = gradient / largest
        length = float(np.linalg.norm(direction))
        before, self._gradient_norm = self._gradient_norm, largest * length
        ratio = self._gradient_norm / before
        return direction / length, not 1 / _GRADIENT_JUMP < ratio < _GRADIENT_JUMP

    @property
    def _single_will_do(self) -> bool:
        # Eigenvalues below the first may be smaller than its rounding error in single precision.
        return (
            self._tol >= SINGLE_ACCURACY
            and self._wanted == 1
            and self._measured > self._distrusted_until
            and self._objective.dtype != np.float32
        )

    def _product_of(self, objective: Objective) -> Product:
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
        if not np.isfinite(hessian).all():
            return Estimate(np.full(self._top_k, np.nan), 0.0, len(hessian), False)
        values = np.linalg.eigvalsh(hessian)[::-1]
        epsilon = float(np.finfo(hessian.dtype).eps)
        rounding = epsilon * max(abs(values[0]), abs(values[-1]))
        wanted = values[: self._wanted].astype(float)
        converged = has_digits(wanted, rounding, self._tol, epsilon)
        return Estimate(self._padded(wanted), 0.0, len(hessian), converged)
