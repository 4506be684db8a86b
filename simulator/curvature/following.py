"""The top of a symmetric operator that changes from measurement to measurement, followed.

Each measurement leaves a model of the Hessian: the leading Ritz vectors, and what else is known of
its top. The next one starts from that, and spends Hessian-vector products only where the residual
asks for them. Two models are kept and the one made nearest to theta is used: beyond the edge of
stability gradient descent jumps to and fro, and then the last but one is much the better.

One vector more than wanted is multiplied, and held to a coarse accuracy of its own: a single
warm-started vector stays locked on an eigenvalue that another one has overtaken, with a small
residual, and says nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from simulator.models import Array
from simulator.numerics import eigen

__all__ = ["Estimate", "Follower"]

# The vector kept beyond the wanted ones is good enough at this estimated relative error, if its
# eigenvalue can then lie no higher than theirs.
_COARSE = 1e-1
# A first residual above this fraction says that the landscape has jumped since the last measurement
# and that what was kept speaks of another place: the spare vector is then held to _STRICT.
_JUMP = 0.1
_STRICT = 1e-2
# Every so many measurements a random direction takes its place and is held to _STRICT: nothing
# stays unseen by symmetry.
_FRESH_EVERY = 16
# Rows of a model beyond the vectors that are multiplied: digits have ten outlying eigenvalues.
_MORE = 8
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


class _Nearby:
    """A model of the Hessian (`numerics.eigen`), and the place where it was made."""

    def __init__(self, rows: int, size: int, dtype: np.dtype[Any]) -> None:
        self.place = np.zeros(size, dtype=dtype)
        self.frame, self.values = np.empty((rows, size), dtype=dtype), np.empty(rows, dtype=dtype)
        self.rows = 0


Product = Callable[[Array, Array], None]


class Follower:
    """Follows the top of an operator in one precision.

    Parameters
    ----------
    size : int
        P.
    wanted : int
        Eigenvalues.
    accuracy : float
        Relative error aimed at in each, estimated from its residual r and the gap to the next
        Ritz value as r^2 / gap (Kato-Temple), or r where the gap is smaller.
    dtype : numpy dtype
        Of all vectors.
    rng : numpy.random.Generator
        Of random directions.
    """

    def __init__(
        self,
        size: int,
        wanted: int,
        accuracy: float,
        dtype: np.dtype[Any],
        rng: np.random.Generator,
    ) -> None:
        self._size, self._wanted, self._accuracy, self._rng = size, wanted, accuracy, rng
        self._rounding = 50 * float(np.finfo(dtype).eps)
        self._measured = 0
        held = wanted + 1
        # One row more than products: the residual waits there to be multiplied.
        rows = min(max(_CAPACITY, 4 * held), size) + 1
        self._basis = np.empty((rows, size), dtype=dtype)
        self._images = np.empty_like(self._basis)
        self._gram = np.zeros((rows, rows), dtype=dtype)
        self._values, self._vectors = np.zeros(rows, dtype=dtype), np.zeros_like(self._gram)
        # Newest first. The third is where the next one is made.
        self._models = [_Nearby(min(held + _MORE, size), size, dtype) for _ in range(3)]

    @property
    def is_fresh(self) -> bool:
        """Whether the next measurement looks into a random direction as well."""
        return self._measured % _FRESH_EVERY == 0

    @property
    def leading(self) -> Array:
        """The first Ritz vector (P,) of the last measurement."""
        return self._models[0].frame[0]

    def follow(self, product: Product, place: Array | None) -> Estimate:
        """The top eigenvalues of this product at this place."""
        basis, images, gram = self._basis, self._images, self._gram
        values, vectors = self._values, self._vectors
        near = self._nearest(place)
        strict = self.is_fresh
        start, used = self._start(near, fresh=strict)
        frame, stale = near.frame[used : near.rows], near.values[used : near.rows]
        done = size = spent = 0
        while True:
            product(basis[size], images[size])
            size, spent = size + 1, spent + 1
            if spent < start:
                continue
            if not eigen.ritz(basis, images, gram, values, vectors, done, size):
                return self._nothing(spent)
            done = size
            first, pending = self._unfinished(size, frame, stale, strict=strict)
            if not np.isfinite(first):
                return self._nothing(spent)
            if spent == start and first > _JUMP * abs(values[0]) and not strict:
                strict = True
                first, pending = self._unfinished(size, frame, stale, strict=True)
            if pending < 0 or spent >= _MOST_PRODUCTS or size == self._size:
                break
            if size == len(basis) - 1:
                # Full: go on from the best third, and the residual just made.
                direction = basis[size].copy()
                best = size // 3
                eigen.restart(basis, images, gram, vectors[:best, :size], values[:best], size)
                size = done = best
                basis[size] = direction
            if eigen.orthonormalize(basis, size) < 1e-8:
                basis[size] = self._rng.standard_normal(basis.shape[1])
                eigen.orthonormalize(basis, size)
        self._learn(near, place, size)
        return Estimate(values[: self._wanted].copy(), first, spent, pending < 0)

    def _nothing(self, spent: int) -> Estimate:
        """What is known where numbers have overflowed; the next measurement starts anew."""
        for model in self._models:
            model.rows = 0
        return Estimate(np.full(self._wanted, np.nan), np.nan, spent, False)

    def _nearest(self, place: Array | None) -> _Nearby:
        last, other, _ = self._models
        if place is None or not other.rows:
            return last
        moved, moved_since = place - last.place, place - other.place
        return other if moved_since @ moved_since < moved @ moved else last

    def _start(self, near: _Nearby, *, fresh: bool) -> tuple[int, int]:
        """Put the vectors to begin with into the basis, orthonormal.

        Returns their number, and how many of them are of the model.
        """
        basis = self._basis
        start = min(self._wanted + 1, self._size)
        used = min(near.rows, self._wanted if fresh else start)
        basis[:used] = near.frame[:used]
        for row in range(start):
            if row >= used:
                basis[row] = self._rng.standard_normal(basis.shape[1])
            while eigen.orthonormalize(basis, row) < 1e-8:
                basis[row] = self._rng.standard_normal(basis.shape[1])
        return start, used

    def _unfinished(
        self, size: int, frame: Array, stale: Array, *, strict: bool
    ) -> tuple[float, int]:
        spare = _STRICT if strict else _COARSE
        return eigen.unfinished(
            self._basis, self._images, self._values, self._vectors, size, self._wanted,
            self._accuracy, spare, self._rounding, frame, stale,
        )  # fmt: skip

    def _learn(self, near: _Nearby, place: Array | None, size: int) -> None:
        """Replace the oldest model by one of here."""
        new = self._models.pop()
        new.rows = eigen.learn(
            self._basis, self._images, self._values, self._vectors, size,
            min(self._wanted + 1, size), near.frame[: near.rows], near.values[: near.rows],
            new.frame, new.values,
        )  # fmt: skip
        if place is not None:
            new.place[:] = place
        self._models.insert(0, new)
        self._measured += 1
