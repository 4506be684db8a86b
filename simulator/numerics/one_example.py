"""A two-layer linear network on one example: three numbers are the whole state.

The sum and the difference of the layers never turn (see `simulator.theory.uv`), so a run is the
lengths P = kappa |p| / sqrt(2) and Q = kappa |q| / sqrt(2), signed, and the residual
r = kappa delta = P^2 - Q^2 - kappa y. The gradient is r P and -r Q, the loss r^2 / (2 kappa^2)
and the sharpness h + sqrt(h^2 + r (3 r + 2 kappa y)), h = P^2 + Q^2. The residual is stepped, not
recomputed: r' = r + dP (P + P') - dQ (Q + Q') keeps all its digits however small it becomes, where
the difference of the lengths would leave 10^-16, and a warmup that crosses the threshold then would
set out from rounding.

Rows of ``state``: P, Q, r, and the momenta of P and Q.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.numerics.blocks import CHUNK, LANES, UNROLL
from simulator.numerics.fused import fma
from simulator.numerics.jit import inlined, kernel

__all__ = ["SEARCH_ROOM", "STATE_ROWS", "advance", "largest_losses"]

STATE_ROWS = 5
_P, _Q, _R, _P_MOMENTUM, _Q_MOMENTUM = (row * LANES for row in range(STATE_ROWS))


@inlined
def _sight(p: float, q: float, r: float, target: float, per_residual: float) -> Any:
    """Loss and sharpness."""
    root, half = r * per_residual, fma(p, p, q * q)
    # (2 r + kappa y)^2 + (2 P Q)^2; below 0 by rounding only.
    square = fma(half, half, r * fma(3.0, r, 2.0 * target))
    return root * root, half + np.sqrt(square if square > 0.0 else 0.0)


@inlined
def _move(p: float, q: float, r: float, back: float, on: float) -> Any:
    """P less ``back``, Q and ``on``, and the residual that is theirs."""
    new_p, new_q = p - back, q + on
    return new_p, new_q, r - fma(on, q + new_q, back * (p + new_p))


@kernel
def _descend_a_chunk(
    state: Any,
    eta: Any,
    target: float,
    per_residual: float,
    measure: bool,
    loss: Any,
    sharpness: Any,
) -> None:
    """CHUNK updates of gradient descent: a constant, or the compiler must fear negative indices."""
    # Twice the same: without the sharpness there is no square root.
    if measure:
        for k in range(0, CHUNK, UNROLL):
            for i in range(LANES):
                p, q, r = state[_P + i], state[_Q + i], state[_R + i]
                for j in range(UNROLL):
                    at = (k + j) * LANES + i
                    loss[at], sharpness[at] = _sight(p, q, r, target, per_residual)
                    e = eta[at] * r
                    p, q, r = _move(p, q, r, e * p, e * q)
                state[_P + i], state[_Q + i], state[_R + i] = p, q, r
    else:
        for k in range(0, CHUNK, UNROLL):
            for i in range(LANES):
                p, q, r = state[_P + i], state[_Q + i], state[_R + i]
                for j in range(UNROLL):
                    at = (k + j) * LANES + i
                    loss[at], _ = _sight(p, q, r, target, per_residual)
                    e = eta[at] * r
                    p, q, r = _move(p, q, r, e * p, e * q)
                state[_P + i], state[_Q + i], state[_R + i] = p, q, r


@kernel
def advance(
    state: Any,
    eta: Any,
    n: int,
    target: float,
    per_residual: float,
    recurrence: Any,
    measure: bool,
    loss: Any,
    sharpness: Any,
) -> None:
    """Take ``n`` updates; fill as many rows of ``loss`` and, where asked to, ``sharpness``.

    ``target`` is kappa y, ``per_residual`` is 1 / (sqrt(2) kappa), and ``recurrence`` that of
    `simulator.optimizers.Recurrence`.
    """
    keep, take, of_momentum, of_gradient = recurrence
    plain = of_momentum == 0.0 and of_gradient == 1.0
    if plain and n == CHUNK:
        _descend_a_chunk(state, eta, target, per_residual, measure, loss, sharpness)
        return
    for k in range(n):
        for i in range(LANES):
            p, q, r = state[_P + i], state[_Q + i], state[_R + i]
            at = k * LANES + i
            loss[at], sharpness[at] = _sight(p, q, r, target, per_residual)
            along_p, along_q = r * p, -r * q
            m_p = keep * state[_P_MOMENTUM + i] + take * along_p
            m_q = keep * state[_Q_MOMENTUM + i] + take * along_q
            state[_P_MOMENTUM + i], state[_Q_MOMENTUM + i] = m_p, m_q
            if plain:
                e = eta[at] * r
                p, q, r = _move(p, q, r, e * p, e * q)
            else:
                back = eta[at] * (of_momentum * m_p + of_gradient * along_p)
                on = -eta[at] * (of_momentum * m_q + of_gradient * along_q)
                p, q, r = _move(p, q, r, back, on)
            state[_P + i], state[_Q + i], state[_R + i] = p, q, r


# Fewer rows than a whole story has: twice the lanes hide the delay between two updates.
_WIDE = 2 * LANES
SEARCH_ROOM = 5 * _WIDE
_SEEN_R, _HALF, _TOP, _ETA_INIT, _ETA_TRGT = (row * _WIDE for row in range(5))
# Two updates at once keep the multipliers busiest here.
_PAIR = 2


@inlined
def _descend(r: float, half: float, top: float, eta: float, target: float) -> Any:
    """One update of r and of half = P^2 + Q^2, and the largest |r| so far.

    `simulator.theory.uv.step` in five multiplications: without signs and without sharpness the
    lengths are not needed.
    """
    e, size, f = eta * r, abs(r), r + target
    r = fma(-e, fma(-e, f, half + half), r)
    return r, fma(e, fma(e, half, -(f + f)), half), size if size > top else top


@kernel
def largest_losses(
    begin: Any, ends: Any, weights: Any, target: float, per_residual: float, rows: Any, out: Any
) -> None:
    """The largest loss of gradient descent from each column of ``begin``; infinite if it diverges.

    All that a search for the largest learning rate asks for, at the speed of the multipliers.
    Arguments are those of `simulator.numerics.lanes.train`; ``rows`` is (SEARCH_ROOM,), ``out``
    (runs,).
    """
    runs, steps = begin.shape[1], weights.shape[1]
    for at in range(0, runs, _WIDE):
        for i in range(_WIDE):
            run = min(at + i, runs - 1)
            p, q = begin[_P // LANES, run], begin[_Q // LANES, run]
            rows[_SEEN_R + i], rows[_HALF + i] = begin[_R // LANES, run], p * p + q * q
            rows[_TOP + i] = 0.0
            rows[_ETA_INIT + i], rows[_ETA_TRGT + i] = ends[0, run], ends[1, run]
        step = 0
        while step + _PAIR <= steps:
            if not _stands_still(weights, step):
                _search_pair(rows, weights, step, target)
                step += _PAIR
                continue
            pairs = 1
            while (
                step + (pairs + 1) * _PAIR <= steps
                and _stands_still(weights, step + pairs * _PAIR)
                and weights[0, step + pairs * _PAIR] == weights[0, step]
                and weights[1, step + pairs * _PAIR] == weights[1, step]
            ):
                pairs += 1
            _search_on(rows, weights[0, step], weights[1, step], pairs, target)
            step += pairs * _PAIR
        for i in range(_WIDE):
            r, half, top = rows[_SEEN_R + i], rows[_HALF + i], rows[_TOP + i]
            if step < steps:
                eta = (
                    rows[_ETA_INIT + i] * weights[0, step] + rows[_ETA_TRGT + i] * weights[1, step]
                )
                r, half, top = _descend(r, half, top, eta, target)
            # The loss after the last update counts too, and NaN is never the largest.
            _, _, top = _descend(r, half, top, 0.0, target)
            last = abs(r) + abs(half) + top
            if at + i < runs:
                out[at + i] = (top * per_residual) ** 2 if last < np.inf else np.inf


@kernel
def _stands_still(weights: Any, step: int) -> bool:
    return weights[0, step] == weights[0, step + 1] and weights[1, step] == weights[1, step + 1]


@kernel
def _search_pair(rows: Any, weights: Any, step: int, target: float) -> None:
    """Two updates at rates that move."""
    of_init, then_of_init = weights[0, step], weights[0, step + 1]
    of_trgt, then_of_trgt = weights[1, step], weights[1, step + 1]
    for i in range(_WIDE):
        r, half, top = rows[_SEEN_R + i], rows[_HALF + i], rows[_TOP + i]
        a, b = rows[_ETA_INIT + i], rows[_ETA_TRGT + i]
        r, half, top = _descend(r, half, top, a * of_init + b * of_trgt, target)
        r, half, top = _descend(r, half, top, a * then_of_init + b * then_of_trgt, target)
        rows[_SEEN_R + i], rows[_HALF + i], rows[_TOP + i] = r, half, top


@kernel
def _search_on(rows: Any, of_init: float, of_trgt: float, pairs: int, target: float) -> None:
    """Pairs of updates at a rate that stands still."""
    for _ in range(pairs):
        for i in range(_WIDE):
            r, half, top = rows[_SEEN_R + i], rows[_HALF + i], rows[_TOP + i]
            eta = rows[_ETA_INIT + i] * of_init + rows[_ETA_TRGT + i] * of_trgt
            r, half, top = _descend(r, half, top, eta, target)
            r, half, top = _descend(r, half, top, eta, target)
            rows[_SEEN_R + i], rows[_HALF + i], rows[_TOP + i] = r, half, top
