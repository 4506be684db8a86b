"""The top eigenvalues of a symmetric operator that changes from measurement to measurement.

Each measurement yields a model of the operator: the leading Ritz vectors and further vectors near
its top. The next measurement starts from it and makes Hessian-vector products only as the residual
requires. Two models are kept, and the one made nearest to theta is used: beyond the edge of
stability gradient descent oscillates, and the model before the last is then much better.

A small residual only shows that *some* eigenvalue is near. Two measures ensure that it is the top
one:

- One more vector than wanted is multiplied. It is the sum of the next Ritz vector, which reveals an
  eigenvalue that overtakes; of the gradient, which points to high curvature; and of a random
  direction, which reveals anything else after some time.
- If the operator has changed much since the model was made, the measurement is a search: it takes
  Lanczos steps from that vector and bounds errors by the residual itself, not by its square.

Products are scaled by a power of two to about 1, so that nothing depends on units. The difference
of u.Hv and v.Hu measures their rounding error, and a value below it has not converged.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from simulator.arrays import Array
from simulator.numerics import eigen

__all__ = ["Estimate", "Product", "RitzSolver", "has_digits"]

# Relative error at which the vector beyond the wanted ones is good enough, if its eigenvalue can
# then lie no higher than theirs.
_SPARE, _SPARE_IN_SEARCH = 1e-1, 1e-2
# A search begins where the first residual exceeds this fraction of the value.
_JUMP = 0.3
# With 4, one search in some thousands misses the top of P^-1 H.
_LANCZOS_STEPS = 8
# The rounding seen is that of a few pairs of vectors; the value's own may be this much larger.
_SAFETY = 2.0
# Rows of a model beyond the vectors that are multiplied: digits have ten outlying eigenvalues.
_MORE = 8
_CAPACITY = 64
_MOST_PRODUCTS = 2000


@dataclass(frozen=True)
class Estimate:
    """The top eigenvalues at given parameters, and their accuracy.

    Attributes
    ----------
    values : array, shape (top_k,)
        Largest first.
    residual : float
        |H u - value u| of the first, in its units: an eigenvalue lies within it. 0 if dense.
    products : int
        Number of Hessian-vector products.
    converged : bool
        Whether every value reached the relative tolerance by its estimated error, and rounding
        leaves that many digits. A value below the rounding error of the first one counts as
        converged.
    searched : bool
        Whether the operator had changed so much that a search was made.
    """

    values: Array
    residual: float
    products: int
    converged: bool
    searched: bool = True


class _Nearby:
    """A model of the operator (`numerics.eigen`), and the parameters where it was made."""

    MEMORY = ("place", "frame", "values", "rows")

    def __init__(self, rows: int, size: int, dtype: np.dtype[Any]) -> None:
        self.place = np.zeros(size, dtype=dtype)
        self.frame, self.values = np.zeros((rows, size), dtype=dtype), np.zeros(rows)
        self.rows = 0


Product = Callable[[Array, Array], None]


class RitzSolver:
    """Track the top of an operator in one precision.

    Parameters
    ----------
    size : int
        P.
    wanted : int
        Eigenvalues.
    tol : float
        Relative tolerance of each. The error is estimated from the residual r and the gap to the
        next Ritz value as r^2 / gap (Kato-Temple), or as r if the gap is smaller and in a search.
    dtype : numpy dtype
        Of all vectors.
    rng : numpy.random.Generator
        Of random directions.
    largest : float
        A measurement of an operator larger than this, or smaller than its inverse, ends at once
        without convergence.
    """

    # The models: all else is made anew in each measurement.
    MEMORY = ("_models",)

    def __init__(
        self,
        size: int,
        wanted: int,
        tol: float,
        dtype: np.dtype[Any],
        rng: np.random.Generator,
        *,
        largest: float = np.inf,
    ) -> None:
        self._size, self._wanted, self._tol, self._rng = size, wanted, tol, rng
        self._largest = largest
        self._epsilon = float(np.finfo(dtype).eps)
        held = wanted + 1
        # One row more than products: the residual waits there to be multiplied.
        rows = min(max(_CAPACITY, 4 * held), size) + 1
        self._basis = np.empty((rows, size), dtype=dtype)
        self._images = np.empty_like(self._basis)
        self._gram = np.zeros((rows, rows), dtype=dtype)
        self._values, self._vectors = np.zeros(rows, dtype=dtype), np.zeros_like(self._gram)
        self._spare = np.empty(size + rows, dtype=dtype)
        kept = min(held + _MORE, size)
        self._work = np.empty(eigen.work_size(rows, kept), dtype=dtype)
        # Newest first. The third is where the next one is made.
        self._models = [_Nearby(kept, size, dtype) for _ in range(3)]

    @property
    def leading(self) -> Array:
        """The first Ritz vector (P,) of the last measurement."""
        return self._models[0].frame[0]

    @property
    def pairs(self) -> tuple[Array, Array]:
        """Values (pairs,) and Ritz vectors (pairs, P) of the last measurement, largest first.

        These are the wanted ones and the next one, which is less accurate.
        """
        model, held = self._models[0], min(self._wanted + 1, self._models[0].rows)
        return model.values[:held], model.frame[:held]

    def solve(
        self,
        product: Product,
        place: Array | None = None,
        direction: Array | None = None,
        *,
        search: bool = False,
    ) -> Estimate:
        """The top eigenvalues of this product at this place.

        Parameters
        ----------
        product : callable
            Fills its second argument (P,) with the operator times its first (P,).
        place : array, shape (P,), optional
            The parameters: of the two models kept, the one made nearer to them is used.
        direction : array, shape (P,), optional
            A unit vector that may reveal a new eigenvector: the gradient, in the operator's
            coordinates.
        search : bool
            Whether to force a search.
        """
        basis, images, gram = self._basis, self._images, self._gram
        values, vectors, wanted = self._values, self._vectors, self._wanted
        near = self._nearest(place)
        start, used = self._start(near, direction)
        for row in range(start):
            product(basis[row], images[row])
        largest = float(np.abs(images[:start]).max())
        scale = _inverse_power_of_two(largest)
        if self._largest < np.inf and not 1 / self._largest < largest < self._largest:
            return Estimate(np.full(wanted, np.nan), np.nan, start, False)
        images[:start] *= scale
        frame = near.frame[: near.rows]
        # A model of a much larger operator is of no use here, and must not overflow.
        stale = np.clip(near.values[: near.rows] * scale, -1e9, 1e9).astype(basis.dtype)
        done, size, spent, rounding = 0, start, start, 0.0
        steps = _LANCZOS_STEPS * min(wanted, 2)
        while True:
            seen = eigen.ritz(basis, images, gram, values, vectors, done, size, self._work)
            if not np.isfinite(seen):
                return self._nothing(spent)
            rounding, done = max(rounding, seen), size
            floor = 50 * self._epsilon * float(max(abs(values[0]), abs(values[size - 1])))
            first, pending = eigen.unfinished(
                basis, images, values, vectors, size, wanted, self._tol,
                _SPARE_IN_SEARCH if search else _SPARE, search, max(floor, _SAFETY * rounding),
                frame[used:], stale[used:], self._spare,
            )  # fmt: skip
            if not np.isfinite(first):
                return self._nothing(spent)
            if spent == start and not search and first > _JUMP * abs(values[0]):
                search = True
                continue
            finished = pending < 0 and not (search and steps)
            if finished or spent >= _MOST_PRODUCTS or size == self._size:
                break
            if size == len(basis) - 1:
                # Full: continue from the best third and the newest residual.
                kept, last = size // 3, basis[size].copy()
                eigen.restart(basis, images, gram, vectors[:kept, :size], values[:kept], size)
                size = done = kept
                basis[size] = last
            if search and steps:
                basis[size] = images[size - 1]
                steps -= 1
            if eigen.orthonormalize(basis, size, self._spare) < 1e-8:
                basis[size] = self._random()
                eigen.orthonormalize(basis, size, self._spare)
            product(basis[size], images[size])
            images[size] *= scale
            size, spent = size + 1, spent + 1
        found = values[:wanted].astype(float)
        converged = pending < 0 and has_digits(found, rounding, self._tol, self._epsilon)
        self._learn(frame, stale, place, size, scale)
        return Estimate(found / scale, first / scale, spent, converged, search)

    def adopt(self, other: RitzSolver) -> None:
        """Take over the last model of another solver, made at the same parameters."""
        latest, mine = other._models[0], self._models[0]
        mine.place[:], mine.rows = latest.place, min(latest.rows, len(mine.frame))
        mine.frame[: mine.rows] = latest.frame[: mine.rows]
        mine.values[: mine.rows] = latest.values[: mine.rows]

    def _nothing(self, spent: int) -> Estimate:
        """The result if numbers overflow; the next measurement starts anew."""
        for model in self._models:
            model.rows = 0
        return Estimate(np.full(self._wanted, np.nan), np.nan, spent, False)

    def _nearest(self, place: Array | None) -> _Nearby:
        last, other, _ = self._models
        if place is None or not other.rows:
            return last
        moved, moved_since = place - last.place, place - other.place
        return other if moved_since @ moved_since < moved @ moved else last

    def _start(self, near: _Nearby, direction: Array | None) -> tuple[int, int]:
        """Put the start vectors into the basis, orthonormal.

        Returns their number, and how many of them come from the model.
        """
        basis, wanted = self._basis, self._wanted
        start = min(wanted + 1, self._size)
        used = min(near.rows, wanted)
        basis[:used] = near.frame[:used]
        for row in range(used, start):
            basis[row] = self._random()
        if start > wanted:
            basis[wanted] /= np.sqrt(self._size)
            if direction is not None:
                basis[wanted] += direction
            if near.rows > wanted:
                basis[wanted] += near.frame[wanted]
        for row in range(start):
            while eigen.orthonormalize(basis, row, self._spare) < 1e-8:
                basis[row] = self._random()
        return start, used

    def _random(self) -> Array:
        return self._rng.standard_normal(self._size, dtype=np.float32)

    def _learn(
        self, frame: Array, stale: Array, place: Array | None, size: int, scale: float
    ) -> None:
        """Replace the oldest model by the current one."""
        new = self._models.pop()
        scaled = np.empty(len(new.values), dtype=self._basis.dtype)
        new.rows = eigen.learn(
            self._basis, self._images, self._values, self._vectors, size,
            min(self._wanted + 1, size), frame, stale, self._work,
            new.frame, scaled,
        )  # fmt: skip
        new.values[:] = scaled / scale
        if place is not None:
            new.place[:] = place
        self._models.insert(0, new)


def _inverse_power_of_two(largest: float) -> float:
    """A factor that brings it to between 1/2 and 1; 1 where there is none."""
    if not 0.0 < largest < np.inf:
        return 1.0
    return float(np.ldexp(1.0, int(np.clip(-np.frexp(largest)[1], -1000, 1000))))


def has_digits(values: Array, rounding: float, tol: float, epsilon: float) -> bool:
    """Whether rounding of this size leaves the values (wanted,) the relative tolerance.

    Values as small as the rounding error of the first one count as zero.
    """
    enough = np.maximum(tol * np.abs(values), 50 * epsilon * abs(values[0]))
    return bool((_SAFETY * rounding <= enough).all())
