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
from simulator.numerics.jit import inlined, nested

__all__ = ["STATE_ROWS", "advance"]

STATE_ROWS = 5
# A residual below this is none: subnormal numbers are slow, and the smallest never gets to 0.
_NOTHING = 1e-300
_P, _Q, _R, _P_MOMENTUM, _Q_MOMENTUM = (row * LANES for row in range(STATE_ROWS))


@inlined
def _sight(p: float, q: float, r: float, target: float, per_residual: float) -> Any:
    """P^2 + Q^2, loss and sharpness."""
    root, half = r * per_residual, fma(p, p, q * q)
    # (2 r + kappa y)^2 + (2 P Q)^2; below 0 by rounding only.
    square = fma(half, half, r * fma(3.0, r, 2.0 * target))
    return half, root * root, half + np.sqrt(square if square > 0.0 else 0.0)


@inlined
def _fall(p: float, q: float, r: float, half: float, e: float) -> Any:
    """An update of gradient descent, e = eta r: `simulator.theory.uv.mode_step` and `step`.

    With kappa f from P and Q: r + kappa y in its place would multiply what rounding has put between
    them by 1 + e^2 at every step.
    """
    f = fma(p, p, -(q * q))
    return fma(-e, p, p), fma(e, q, q), fma(-e, fma(-e, f, half + half), r)


@inlined
def _move(p: float, q: float, r: float, back: float, on: float) -> Any:
    """P less ``back``, Q and ``on``, and the residual that is theirs."""
    r -= fma(on, (q + q) + on, back * ((p + p) - back))
    return p - back, q + on, r


@nested
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
                    half, loss[at], sharpness[at] = _sight(p, q, r, target, per_residual)
                    p, q, r = _fall(p, q, r, half, eta[at] * r)
                state[_P + i], state[_Q + i], state[_R + i] = p, q, r
    else:
        for k in range(0, CHUNK, UNROLL):
            for i in range(LANES):
                p, q, r = state[_P + i], state[_Q + i], state[_R + i]
                for j in range(UNROLL):
                    at = (k + j) * LANES + i
                    half, loss[at], _ = _sight(p, q, r, target, per_residual)
                    p, q, r = _fall(p, q, r, half, eta[at] * r)
                state[_P + i], state[_Q + i], state[_R + i] = p, q, r


@nested
def advance(
    state: Any,
    eta: Any,
    first: int,
    n: int,
    target: float,
    per_residual: float,
    recurrence: Any,
    measure: bool,
    loss: Any,
    sharpness: Any,
) -> None:
    """Take updates ``first`` to ``first + n - 1``; fill rows of ``loss`` and ``sharpness``.

    ``target`` is kappa y, ``per_residual`` is 1 / (sqrt(2) kappa), and ``recurrence`` that of
    `simulator.optimizers.Recurrence`.
    """
    keep, take, of_momentum, of_gradient = recurrence
    # By the number of the step, however it is that chunks are cut.
    if first % CHUNK == 1:
        for i in range(LANES):
            r = state[_R + i]
            state[_R + i] = r if abs(r) > _NOTHING else 0.0
    plain = of_momentum == 0.0 and of_gradient == 1.0
    if plain and n == CHUNK:
        _descend_a_chunk(state, eta, target, per_residual, measure, loss, sharpness)
        return
    for k in range(n):
        for i in range(LANES):
            p, q, r = state[_P + i], state[_Q + i], state[_R + i]
            at = k * LANES + i
            half, loss[at], sharpness[at] = _sight(p, q, r, target, per_residual)
            along_p, along_q = r * p, -r * q
            m_p = keep * state[_P_MOMENTUM + i] + take * along_p
            m_q = keep * state[_Q_MOMENTUM + i] + take * along_q
            state[_P_MOMENTUM + i], state[_Q_MOMENTUM + i] = m_p, m_q
            if plain:
                p, q, r = _fall(p, q, r, half, eta[at] * r)
            else:
                back = eta[at] * (of_momentum * m_p + of_gradient * along_p)
                on = -eta[at] * (of_momentum * m_q + of_gradient * along_q)
                p, q, r = _move(p, q, r, back, on)
            state[_P + i], state[_Q + i], state[_R + i] = p, q, r
