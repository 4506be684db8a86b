"""Layer normalisation of each sample's units: forward, back, and along a direction.

For one row h (n,), with its mean and variance::

    z = s (h - mean h),  s = 1 / sqrt(var h + eps),  u = gain * z + shift

(Ba, Kiros and Hinton, arXiv 1607.06450). With e = dL/du, g = gain * e, and means over the row::

    dL/dh = s (g - mean g - z mean(g z))
    R{z} = s (R{h} - mean R{h}) - q z,  q = s mean(z R{h}),  R{s} = -q s
    R{dL/dh} = s (f - mean f - z mean(f z + g R{z}) - R{z} mean(g z)),  f = R{g} - q g

If ``affine``, the gain is theta[at : at + n] and the shift the next n numbers; otherwise they are 1
and 0. The tape ``normed`` has z at ``tape``, ``upper`` dL/du and ``rnormed`` R{z}; the rows
``layer`` of ``scales`` and ``rscales`` have s and q.
"""

from __future__ import annotations

import math
from typing import Any

from simulator.numerics.fused import add
from simulator.numerics.jit import nested
from simulator.numerics.views import matrix, vector

__all__ = ["AFTER", "BEFORE", "along", "back", "back_along", "forward"]

# Where a hidden layer is normalised: its pre-activations, or what the next layer reads.
BEFORE, AFTER = 1, 2


@nested
def forward(
    h: Any, theta: Any, at: int, affine: bool, eps: float, normed: Any, scales: Any, layer: int,
    tape: int, u: Any,
) -> None:  # fmt: skip
    """Fill ``normed``, ``scales`` and, if ``affine``, ``u``, which may be ``h``."""
    samples, n = h.shape
    z, scale = matrix(normed, tape, samples, n), vector(scales, layer * samples, samples)
    gain, shift = vector(theta, at, n), vector(theta, at + n, n)
    zero, size = h.dtype.type(0), h.dtype.type(n)
    for i in range(samples):
        total, squares = zero, zero
        for j in range(n):
            total = add(total, h[i, j])
        mean = total / size
        for j in range(n):
            squares = add(squares, (h[i, j] - mean) * (h[i, j] - mean))
        s = h.dtype.type(1.0 / math.sqrt(squares / size + eps))
        scale[i] = s
        # Loops of their own: with u in the place of h, one for both is not vectorised.
        for j in range(n):
            z[i, j] = (h[i, j] - mean) * s
        if affine:
            for j in range(n):
                u[i, j] = gain[j] * z[i, j] + shift[j]


@nested
def back(
    e: Any, theta: Any, at: int, affine: bool, normed: Any, scales: Any, layer: int, tape: int,
    upper: Any, out: Any,
) -> None:  # fmt: skip
    """Turn ``e`` into dL/dh, after a copy to ``upper``; ``out`` gets dL/dgain and dL/dshift."""
    samples, n = e.shape
    z, scale = matrix(normed, tape, samples, n), vector(scales, layer * samples, samples)
    kept = matrix(upper, tape, samples, n)
    gain, of_gain, of_shift = vector(theta, at, n), vector(out, at, n), vector(out, at + n, n)
    zero, size = e.dtype.type(0), e.dtype.type(n)
    if affine:
        for j in range(n):
            of_gain[j] = of_shift[j] = zero
    for i in range(samples):
        total, product, s = zero, zero, scale[i]
        if affine:
            for j in range(n):
                of_gain[j] += e[i, j] * z[i, j]
                of_shift[j] += e[i, j]
            for j in range(n):
                g = gain[j] * e[i, j]
                kept[i, j] = e[i, j]
                e[i, j] = g
                total = add(total, g)
                product = add(product, g * z[i, j])
        else:
            for j in range(n):
                kept[i, j] = e[i, j]
                total = add(total, e[i, j])
                product = add(product, e[i, j] * z[i, j])
        mean, slant = total / size, product / size
        for j in range(n):
            e[i, j] = s * (e[i, j] - mean - z[i, j] * slant)


@nested
def along(
    rh: Any, theta: Any, v: Any, at: int, affine: bool, normed: Any, scales: Any, layer: int,
    tape: int, rnormed: Any, rscales: Any, ru: Any,
) -> None:  # fmt: skip
    """Fill ``rnormed``, ``rscales`` and ``ru``, which may be ``rh``."""
    samples, n = rh.shape
    z, scale = matrix(normed, tape, samples, n), vector(scales, layer * samples, samples)
    rz, rscale = matrix(rnormed, tape, samples, n), vector(rscales, layer * samples, samples)
    gain, rgain, rshift = vector(theta, at, n), vector(v, at, n), vector(v, at + n, n)
    zero, size = rh.dtype.type(0), rh.dtype.type(n)
    for i in range(samples):
        total, product, s = zero, zero, scale[i]
        for j in range(n):
            total = add(total, rh[i, j])
            product = add(product, rh[i, j] * z[i, j])
        mean, q = total / size, s * (product / size)
        rscale[i] = q
        for j in range(n):
            rz[i, j] = s * (rh[i, j] - mean) - q * z[i, j]
        if affine:
            for j in range(n):
                ru[i, j] = gain[j] * rz[i, j] + rgain[j] * z[i, j] + rshift[j]
        else:
            for j in range(n):
                ru[i, j] = rz[i, j]


@nested
def back_along(
    re: Any, theta: Any, v: Any, at: int, affine: bool, normed: Any, scales: Any, layer: int,
    tape: int, upper: Any, rnormed: Any, rscales: Any, out: Any,
) -> None:  # fmt: skip
    """Turn ``re`` = R{dL/du} into R{dL/dh}; ``out`` gets the products of gain and shift."""
    samples, n = re.shape
    z, scale = matrix(normed, tape, samples, n), vector(scales, layer * samples, samples)
    rz, rscale = matrix(rnormed, tape, samples, n), vector(rscales, layer * samples, samples)
    kept = matrix(upper, tape, samples, n)
    gain, rgain = vector(theta, at, n), vector(v, at, n)
    of_gain, of_shift = vector(out, at, n), vector(out, at + n, n)
    zero, size = re.dtype.type(0), re.dtype.type(n)
    if affine:
        for j in range(n):
            of_gain[j] = of_shift[j] = zero
    for i in range(samples):
        if affine:
            for j in range(n):
                of_gain[j] += re[i, j] * z[i, j] + kept[i, j] * rz[i, j]
                of_shift[j] += re[i, j]
                re[i, j] = gain[j] * re[i, j] + rgain[j] * kept[i, j]
        total, product, rproduct, s, q = zero, zero, zero, scale[i], rscale[i]
        for j in range(n):
            g = kept[i, j] * gain[j] if affine else kept[i, j]
            f = re[i, j] - q * g
            total = add(total, f)
            product = add(product, g * z[i, j])
            rproduct = add(rproduct, f * z[i, j] + g * rz[i, j])
            re[i, j] = f
        mean, slant, rslant = total / size, product / size, rproduct / size
        for j in range(n):
            re[i, j] = s * (re[i, j] - mean - z[i, j] * rslant - rz[i, j] * slant)
