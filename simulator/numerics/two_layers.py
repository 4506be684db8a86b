"""Small two-layer linear networks on any samples, a network in each lane.

f = c V^T U x with ``theta`` as `simulator.models.UV` keeps it: U^T (d, r), then V (r, k). With the
residuals E = f - y (m, k), S = x^T x and G = (c / m k) x^T E (d, k), the gradient is
(V G^T, U G), and the Hessian has the blocks, for rows p, q of U and V,

    UU: (c^2 / m k) S_ab (V V^T)_pq        VV: delta_jl (c^2 / m k) (U S U^T)_pq
    VU: (c^2 / m k) (U S)_pa V_qj + delta_pq G_aj

Rows of ``state``: theta, and its momentum.
"""

from __future__ import annotations

from typing import Any

from simulator.numerics import spectra
from simulator.numerics.blocks import LANES
from simulator.numerics.jit import kernel
from simulator.numerics.spectra import top_eigenvalues

__all__ = ["advance", "scratch_rows"]


def scratch_rows(samples: int, inputs: int, hidden: int, outputs: int) -> int:
    """Rows that `advance` needs for itself."""
    size = hidden * (inputs + outputs)
    products = 2 * hidden * hidden + hidden * inputs
    gradients = samples * outputs + inputs * outputs + size
    return gradients + products + size * size + spectra.scratch_rows(size)


@kernel
def _clear(rows: Any, at: int, count: int) -> None:
    for row in range(at, at + count):
        for i in range(LANES):
            rows[row, i] = 0.0


@kernel
def _add(rows: Any, to: int, factor: float, row: int) -> None:
    for i in range(LANES):
        rows[to, i] += factor * rows[row, i]


@kernel
def _add_product(into: Any, to: int, factor: float, a: Any, row: int, b: Any, other: int) -> None:
    for i in range(LANES):
        into[to, i] += factor * a[row, i] * b[other, i]


@kernel
def _residuals(
    theta: Any, x: Any, y: Any, hidden: int, c: float, work: Any, loss: Any, k: int
) -> None:
    """Residuals E, then G, into the first rows of ``work``; the loss into row ``k``."""
    (samples, inputs), outputs = x.shape, y.shape[1]
    second, slope = inputs * hidden, samples * outputs
    # The rows of G hold c V^T U first.
    _clear(work, slope, inputs * outputs)
    for a in range(inputs):
        for j in range(outputs):
            for p in range(hidden):
                u, v = a * hidden + p, second + p * outputs + j
                _add_product(work, slope + a * outputs + j, c, theta, u, theta, v)
    half = 0.5 / (samples * outputs)
    for i in range(LANES):
        loss[k, i] = 0.0
    for s in range(samples):
        for j in range(outputs):
            at = s * outputs + j
            for i in range(LANES):
                work[at, i] = -y[s, j]
            for a in range(inputs):
                _add(work, at, x[s, a], slope + a * outputs + j)
            for i in range(LANES):
                e = work[at, i]
                loss[k, i] += half * (e * e)
    _clear(work, slope, inputs * outputs)
    scale = c / (samples * outputs)
    for a in range(inputs):
        for j in range(outputs):
            for s in range(samples):
                _add(work, slope + a * outputs + j, scale * x[s, a], s * outputs + j)


@kernel
def _measure(
    theta: Any,
    gram: Any,
    samples: int,
    hidden: int,
    outputs: int,
    c: float,
    runs: int,
    work: Any,
    out: Any,
    k: int,
) -> None:
    """The sharpness into row ``k``; G is in ``work``."""
    inputs = gram.shape[0]
    second, size = inputs * hidden, hidden * (inputs + outputs)
    slope = samples * outputs
    vv = slope + inputs * outputs + size
    us, usu = vv + hidden * hidden, vv + hidden * hidden + hidden * inputs
    matrix = usu + hidden * hidden
    scale = c * c / (samples * outputs)
    _clear(work, vv, matrix - vv + size * size)
    for p in range(hidden):
        for q in range(p + 1):
            for j in range(outputs):
                v, w = second + p * outputs + j, second + q * outputs + j
                _add_product(work, vv + p * hidden + q, scale, theta, v, theta, w)
        for a in range(inputs):
            for b in range(inputs):
                for i in range(LANES):
                    work[us + p * inputs + a, i] += scale * gram[a, b] * theta[b * hidden + p, i]
        for q in range(p + 1):
            for a in range(inputs):
                _add_product(
                    work,
                    usu + p * hidden + q,
                    1.0,
                    work,
                    us + p * inputs + a,
                    theta,
                    a * hidden + q,
                )
    for a in range(inputs):
        for p in range(hidden):
            row = a * hidden + p
            for b in range(a + 1):
                for q in range(hidden):
                    high, low = (p, q) if p >= q else (q, p)
                    _add(
                        work,
                        matrix + row * size + b * hidden + q,
                        gram[a, b],
                        vv + high * hidden + low,
                    )
    for p in range(hidden):
        for j in range(outputs):
            row = matrix + (second + p * outputs + j) * size
            for a in range(inputs):
                for q in range(hidden):
                    column = row + a * hidden + q
                    _add_product(
                        work,
                        column,
                        1.0,
                        work,
                        us + p * inputs + a,
                        theta,
                        second + q * outputs + j,
                    )
                _add(work, row + a * hidden + p, 1.0, slope + a * outputs + j)
            for q in range(p + 1):
                _add(work, row + second + q * outputs + j, 1.0, usu + p * hidden + q)
    top_eigenvalues(work, matrix, size, matrix + size * size, runs, out, k)


@kernel
def _descend(
    state: Any,
    hidden: int,
    inputs: int,
    outputs: int,
    recurrence: Any,
    eta: Any,
    k: int,
    samples: int,
    work: Any,
) -> None:
    keep, take, of_momentum, of_gradient = recurrence
    second, size = inputs * hidden, hidden * (inputs + outputs)
    slope = samples * outputs
    gradient = slope + inputs * outputs
    _clear(work, gradient, size)
    for p in range(hidden):
        for a in range(inputs):
            for j in range(outputs):
                g, v = slope + a * outputs + j, second + p * outputs + j
                _add_product(work, gradient + a * hidden + p, 1.0, work, g, state, v)
                _add_product(work, gradient + v, 1.0, work, g, state, a * hidden + p)
    plain = of_momentum == 0.0 and of_gradient == 1.0
    for row in range(size):
        momentum, g = size + row, gradient + row
        if plain:
            for i in range(LANES):
                state[row, i] -= eta[k, i] * work[g, i]
        else:
            for i in range(LANES):
                m = keep * state[momentum, i] + take * work[g, i]
                state[momentum, i] = m
                state[row, i] -= eta[k, i] * (of_momentum * m + of_gradient * work[g, i])


@kernel
def advance(
    state: Any,
    eta: Any,
    first: int,
    n: int,
    every: int,
    x: Any,
    y: Any,
    gram: Any,
    hidden: int,
    c: float,
    recurrence: Any,
    runs: int,
    work: Any,
    loss: Any,
    sharpness: Any,
) -> None:
    """Take updates ``first`` to ``first + n - 1``; fill rows of ``loss``, and of ``sharpness``.

    The sharpness before each ``every``-th update, of the first ``runs`` lanes. ``gram`` is S,
    ``recurrence`` that of `simulator.optimizers.Recurrence`.
    """
    (samples, inputs), outputs = x.shape, y.shape[1]
    # With rows of their own an index cannot turn negative, which would cost the vector loops.
    states, etas = state.reshape(-1, LANES), eta.reshape(-1, LANES)
    losses, tops, rows = (
        loss.reshape(-1, LANES),
        sharpness.reshape(-1, LANES),
        work.reshape(-1, LANES),
    )
    for k in range(n):
        _residuals(states, x, y, hidden, c, rows, losses, k)
        if every > 0 and (first + k) % every == 0:
            _measure(states, gram, samples, hidden, outputs, c, runs, rows, tops, k)
        _descend(states, hidden, inputs, outputs, recurrence, etas, k, samples, rows)
