"""Matrix products, and the three of a layer in the pieces that OpenBLAS multiplies fastest.

OpenBLAS has kernels that take small matrices as they lie (up to a million multiplications, and a
second factor that is not transposed), a fifth faster than those that first repack them. So the
samples go in pieces, where a piece of a million is not too thin: a part of W^T is not worth its
reading then. With one output, d W^T is no more than a plain loop.
"""

from __future__ import annotations

from typing import Any

from simulator.numerics.jit import kernel, nested
from simulator.numerics.linalg import dot, matrix_matrix, matrix_vector
from simulator.numerics.views import matrix, vector

__all__ = ["backward", "forward", "multiply", "outer"]

_SMALL = 1_000_000
# The least rows of a piece, below which the whole is as fast.
_LEAST = 40


@nested
def _piece(samples: int, fan_in: int, fan_out: int) -> int:
    """Rows to take at once, so that all pieces are of nearly one size."""
    area = fan_in * fan_out
    if area * _LEAST > _SMALL:
        return samples
    pieces = (samples * area + _SMALL - 1) // _SMALL
    return max(1, (samples + pieces - 1) // pieces)


@nested
def multiply(a: Any, a_turned: bool, b: Any, b_turned: bool, out: Any) -> None:
    """out = a b, each transposed if ``turned``; a matrix of one row or column is a vector."""
    rows, columns = out.shape
    if columns == 1:
        x, y = vector(b, 0, b.size), vector(out, 0, rows)
        if rows == 1:
            y[0] = dot(vector(a, 0, a.size), x)
        else:
            matrix_vector(a, a_turned, x, y)
    elif rows == 1:
        matrix_vector(b, not b_turned, vector(a, 0, a.size), vector(out, 0, columns))
    else:
        matrix_matrix(a, a_turned, b, b_turned, out)


@nested
def _rows(array: Any, start: int, count: int) -> Any:
    """A piece of the samples."""
    columns = array.shape[1]
    return matrix(array, start * columns, count, columns)


@kernel
def forward(h: Any, w: Any, z: Any) -> None:
    """z = h W: (samples, fan_in) times (fan_in, fan_out)."""
    samples, fan_in = h.shape
    rows = _piece(samples, fan_in, w.shape[1])
    for start in range(0, samples, rows):
        count = min(rows, samples - start)
        multiply(_rows(h, start, count), False, w, False, _rows(z, start, count))


@kernel
def outer(h: Any, d: Any, kept: float, spare: Any, out: Any) -> None:
    """out = ``kept`` out + h^T d: (fan_in, samples) times (samples, fan_out).

    ``kept`` is 0.0 or 1.0: a literal integer would be a type of its own, and compiled for.
    ``spare`` is as long as W.
    """
    samples, fan_in = h.shape
    rows = _piece(samples, fan_in, d.shape[1])
    more = matrix(spare, 0, fan_in, d.shape[1])
    for start in range(0, samples, rows):
        first = start == 0 and kept == 0.0
        count = min(rows, samples - start)
        target = out if first else more
        multiply(_rows(h, start, count), True, _rows(d, start, count), False, target)
        if not first:
            flat, term = vector(out, 0, out.size), vector(more, 0, out.size)
            for i in range(flat.size):
                flat[i] += term[i]


@kernel
def backward(d: Any, w: Any, spare: Any, e: Any) -> None:
    """e = d W^T: (samples, fan_out) times (fan_out, fan_in). ``spare`` is as long as W."""
    samples, fan_in = e.shape
    fan_out = d.shape[1]
    if fan_out == 1:
        row, factor = vector(w, 0, fan_in), vector(d, 0, samples)
        for i in range(samples):
            for j in range(fan_in):
                e[i, j] = factor[i] * row[j]
        return
    if w.size * _LEAST > _SMALL:
        multiply(d, False, w, True, e)
        return
    turned = matrix(spare, 0, fan_out, fan_in)
    for i in range(fan_in):
        for j in range(fan_out):
            turned[j, i] = w[i, j]
    rows = _piece(samples, fan_in, fan_out)
    for start in range(0, samples, rows):
        count = min(rows, samples - start)
        multiply(_rows(d, start, count), False, turned, False, _rows(e, start, count))
