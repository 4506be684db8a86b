"""Sharpness: the top eigenvalue of the Hessian, followed along training.

The solver keeps the leading Ritz vectors from one measurement to the next and spends
Hessian-vector products only where the residual asks for them. One vector more than wanted is
kept, and held to a coarse accuracy of its own: a single warm-started vector stays locked on an
eigenvalue that another one has overtaken, with a small residual, and says nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from simulator.checks import InputError, at_least, positive
from simulator.data import Data
from simulator.models import Array, Model, Objective
from simulator.models.base import checked_vector
from simulator.numerics import eigen
from simulator.seeding import generator

__all__ = ["REFERENCE_ACCURACY", "Estimate", "Tracker", "sharpness"]

# Up to this many parameters the dense Hessian is cheaper than following it.
DENSE_LIMIT = 48
REFERENCE_ACCURACY = 1e-10
# The vector kept beyond the wanted ones is good enough at this estimated relative error, if its
# eigenvalue can then lie no higher than theirs.
_COARSE = 1e-1
# A first residual above this fraction says that the landscape has jumped since the last measurement
# and that what was kept speaks of another place: every vector is held to the full accuracy then.
_JUMP = 0.1
# Every so many measurements a random direction takes its place and is held to the full accuracy:
# nothing stays unseen by symmetry.
_FRESH_EVERY = 16
_CAPACITY = 64
_MOST_PRODUCTS = 2000


@dataclass(frozen=True)
class Estimate:
    """The top eigenvalues at one theta, and how well they are known.

    Attributes
    ----------
    values : array, shape (top_k,)
        Largest first.
    residual : float
        |H u - value u| of the first, in its units: an eigenvalue lies within it. 0 if dense.
    products : int
        Hessian-vector products spent.
    converged : bool
        Whether the estimated relative error of every value reached the accuracy asked for.
    """

    values: Array
    residual: float
    products: int
    converged: bool


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
        self._wanted = min(at_least("top_k", top_k, 1), objective.size)
        self._top_k = top_k
        self._accuracy = positive("accuracy", accuracy)
        self._rounding = 50 * float(np.finfo(objective.dtype).eps)
        self._rng = generator(seed, "curvature")
        self.preconditioner = preconditioner
        self._measured = self._kept = 0
        if objective.size > DENSE_LIMIT:
            # One row more than products: the residual waits there to be multiplied.
            rows = min(max(_CAPACITY, 4 * (self._wanted + 1)), objective.size) + 1
            self._basis = np.empty((rows, objective.size), dtype=objective.dtype)
            self._images = np.empty_like(self._basis)
            self._gram = np.zeros((rows, rows), dtype=objective.dtype)

    def measure(self) -> Estimate:
        """The top eigenvalues where the objective stands now."""
        self._root = None if self.preconditioner is None else np.sqrt(self.preconditioner)
        with np.errstate(all="ignore"):
            estimate = self._dense() if self._objective.size <= DENSE_LIMIT else self._follow()
        outside = self._objective.eigenvalues_outside(self._top_k)
        if not outside.size:
            return estimate
        # NaN, which pads a short spectrum, sorts last and so comes first to be replaced.
        values = -np.sort(-np.append(estimate.values, outside))[: self._top_k]
        return replace(estimate, values=values)

    def _product(self, v: Array, out: Array) -> None:
        if self._root is None:
            self._objective.hvp(v, out)
        else:
            self._objective.hvp(v / self._root, out)
            out /= self._root

    def _padded(self, values: Array) -> Array:
        return np.pad(values, (0, self._top_k - values.size), constant_values=np.nan)

    def _dense(self) -> Estimate:
        hessian = self._objective.hessian()
        if self._root is not None:
            hessian = hessian / self._root / self._root[:, None]
        finite = np.isfinite(hessian).all()
        values = np.linalg.eigvalsh(hessian)[::-1] if finite else np.full(len(hessian), np.nan)
        products = self._objective.size
        return Estimate(self._padded(values[: self._wanted]), 0.0, products, bool(finite))

    def _follow(self) -> Estimate:
        basis, images, gram = self._basis, self._images, self._gram
        strict = self._measured % _FRESH_EVERY == 0
        start = self._start(fresh=strict)
        size = spent = 0
        while True:
            self._product(basis[size], images[size])
            size, spent = size + 1, spent + 1
            eigen.project(basis, images, gram, size)
            if size < start:
                continue
            if not np.isfinite(gram[:size, :size]).all():
                return self._nothing(spent)
            values, vectors = np.linalg.eigh(gram[:size, :size])
            values, vectors = values[::-1], np.ascontiguousarray(vectors[:, ::-1])
            first, pending = self._residuals(values, vectors, size, strict=strict)
            if not np.isfinite(first):
                return self._nothing(spent)
            if spent == start and first > _JUMP * abs(values[0]):
                strict = True
                first, pending = self._residuals(values, vectors, size, strict=True)
            if pending is None or spent >= _MOST_PRODUCTS or size == self._objective.size:
                break
            if size == len(basis) - 1:
                # Full: go on from the best third, and the residual just made.
                direction = basis[size].copy()
                best = size // 3
                eigen.restart(basis, images, gram, vectors[:, :best], values[:best], size)
                size = best
                basis[size] = direction
            if eigen.orthonormalize(basis, size) < 1e-8:
                basis[size] = self._rng.standard_normal(basis.shape[1])
                eigen.orthonormalize(basis, size)
        self._kept = min(self._wanted + 1, size)
        leading = vectors[:, : self._kept]
        eigen.restart(basis, images, gram, leading, values[: self._kept], size)
        self._measured += 1
        return Estimate(values[: self._wanted].copy(), first, spent, pending is None)

    def _nothing(self, spent: int) -> Estimate:
        """What is known where numbers have overflowed; the next measurement starts anew."""
        self._kept = 0
        return Estimate(np.full(self._top_k, np.nan), np.nan, spent, False)

    def _start(self, *, fresh: bool) -> int:
        """Put the vectors to begin with into the basis, orthonormal; returns their number."""
        basis = self._basis
        if fresh:
            self._kept = min(self._kept, self._wanted)
        start = min(self._wanted + 1, self._objective.size)
        for row in range(start):
            if row >= self._kept:
                basis[row] = self._rng.standard_normal(basis.shape[1])
            while eigen.orthonormalize(basis, row) < 1e-8:
                basis[row] = self._rng.standard_normal(basis.shape[1])
        return start

    def _residuals(
        self, values: Array, vectors: Array, size: int, *, strict: bool
    ) -> tuple[float, int | None]:
        """Residual norm of the first pair, and the first pair that is not good enough, if any.

        Leaves the residual of that pair in ``basis[size]``.
        """
        rounding = self._rounding * np.abs(values).max()
        first: float = 0.0
        for pair in range(min(self._wanted + 1, size)):
            vector = np.ascontiguousarray(vectors[:, pair])
            r = eigen.residual(self._basis, self._images, vector, values[pair], size)
            first = r if pair == 0 else first
            gap = values[pair] - values[pair + 1] if pair + 1 < size else 0.0
            # r / gap first: squares of residuals may underflow.
            error = r * (r / gap) if gap > r else r
            size_of = abs(values[pair])
            if error > max(self._accuracy * size_of, rounding) and (
                strict
                or pair < self._wanted
                or error > _COARSE * size_of
                or values[pair] + r > values[pair - 1]
            ):
                return first, pair
        return first, None


def sharpness(
    model: Model,
    theta: Array,
    data: Data | None = None,
    *,
    preconditioner: Array | None = None,
    accuracy: float = REFERENCE_ACCURACY,
    seed: int = 0,
) -> float:
    """Top eigenvalue of the Hessian of the loss at theta.

    Parameters
    ----------
    theta : array, shape (P,)
        Where.
    preconditioner : array, shape (P,), optional
        With it, the top eigenvalue of P^-1 H; infinite entries hold their parameters still.
    accuracy : float
        Relative error aimed at.
    seed : int
        Chooses the random start vectors.

    Raises
    ------
    InputError
        For a theta or preconditioner of another shape, a preconditioner that is not positive, and
        one for a model that does not step its weights.
    """
    objective = model.bind(data)
    theta = checked_vector("theta", theta, objective)
    if preconditioner is not None:
        if not model.steps_weights:
            raise InputError("representation", "gram", "P is one for each weight; give parameters")
        preconditioner = checked_vector("preconditioner", preconditioner, objective)
        if not (preconditioner > 0).all():
            raise InputError("preconditioner", preconditioner.min(), "give positive entries")
    objective.gradient(theta, np.empty_like(theta))
    tracker = Tracker(objective, 1, accuracy, seed, preconditioner)
    return float(tracker.measure().values[0])
