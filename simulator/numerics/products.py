"""The three matrix multiplies of a layer, in the pieces that OpenBLAS multiplies fastest.

OpenBLAS has kernels that take small matrices as they lie (up to a million multiplications, and a
second factor that is not transposed), a fifth faster than those that first repack them. So the
samples go in pieces, where a piece of a million is not too thin: a part of W^T is not worth its
reading then. With one output, d W^T is no more than a plain loop.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.numerics.jit import kernel

__all__ = ["backward", "forward", "outer"]

_SMALL = 1_000_000
# The least rows of a piece, below which the whole is as fast.
_LEAST = 40


@kernel
def _piece(samples: int, fan_in: int, fan_out: int) -> int:
    """Rows to take at once, so that all pieces are of nearly one size."""
    area = fan_in * fan_out
    if area * _LEAST > _SMALL:
        return samples
    pieces = (samples * area + _SMALL - 1) // _SMALL
    return max(1, (samples + pieces - 1) // pieces)


@kernel
def forward(h: Any, w: Any, z: Any) -> None:
    """z = h W: (samples, fan_in) times (fan_in, fan_out)."""
    samples, fan_in = h.shape
    rows = _piece(samples, fan_in, w.shape[1])
    for start in range(0, samples, rows):
        np.dot(h[start : start + rows], w, z[start : start + rows])


@kernel
def outer(h: Any, d: Any, kept: float, spare: Any, out: Any) -> None:
    """out = ``kept`` out + h^T d: (fan_in, samples) times (samples, fan_out).

    ``kept`` is 0.0 or 1.0: a literal integer would be a type of its own, and compiled for.
    ``spare`` is as long as W.
    """
    samples, fan_in = h.shape
    rows = _piece(samples, fan_in, d.shape[1])
    more = spare[: out.size].reshape(out.shape)
    for start in range(0, samples, rows):
        first = start == 0 and kept == 0.0
        end = start + rows
        np.dot(h[start:end].T, d[start:end], out if first else more)
        if not first:
            flat, term = out.reshape(out.size), more.reshape(out.size)
            for i in range(flat.size):
                flat[i] += term[i]


@kernel
def backward(d: Any, w: Any, spare: Any, e: Any) -> None:
    """e = d W^T: (samples, fan_out) times (fan_out, fan_in). ``spare`` is as long as W."""
    samples, fan_in = e.shape
    fan_out = d.shape[1]
    if fan_out == 1:
        row, factor = w.reshape(fan_in), d.reshape(samples)
        for i in range(samples):
            for j in range(fan_in):
                e[i, j] = factor[i] * row[j]
        return
    if w.size * _LEAST > _SMALL:
        np.dot(d, w.T, e)
        return
    turned = spare[: w.size].reshape(fan_out, fan_in)
    for i in range(fan_in):
        for j in range(fan_out):
            turned[j, i] = w[i, j]
    rows = _piece(samples, fan_in, fan_out)
    for start in range(0, samples, rows):
        np.dot(d[start : start + rows], turned, e[start : start + rows])
