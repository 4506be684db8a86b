"""A two-layer linear network on one example: two numbers are the whole state.

The sum and the difference of the layers never turn (see `simulator.theory.uv`), so a run is the
lengths P = kappa |p| / sqrt(2) and Q = kappa |q| / sqrt(2), signed. With the residual
r = kappa delta = P^2 - Q^2 - kappa y the gradient is r P and -r Q, the loss
(r / (sqrt(2) kappa))^2, and the sharpness P^2 + Q^2 + sqrt((P^2 - Q^2 + r)^2 + (2 P Q)^2): sums of
squares, without cancellation.

Rows of ``state``: P, Q, and the momenta of both.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.numerics.blocks import CHUNK, LANES, UNROLL
from simulator.numerics.jit import inlined, kernel

__all__ = ["STATE_ROWS", "advance"]

STATE_ROWS = 4
_P, _Q, _P_MOMENTUM, _Q_MOMENTUM = (row * LANES for row in range(STATE_ROWS))


@inlined
def _sight(p: float, q: float, target: float, per_residual: float) -> Any:
    """Residual, loss and sharpness."""
    a, b = p * p, q * q
    gap = a - b
    r = gap - target
    root = r * per_residual
    d = gap + r
    h = p * q
    h = h + h
    return r, root * root, (a + b) + np.sqrt(d * d + h * h)


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
                p, q = state[_P + i], state[_Q + i]
                for j in range(UNROLL):
                    at = (k + j) * LANES + i
                    r, loss[at], sharpness[at] = _sight(p, q, target, per_residual)
                    e = eta[at] * r
                    p, q = p - e * p, q + e * q
                state[_P + i], state[_Q + i] = p, q
    else:
        for k in range(0, CHUNK, UNROLL):
            for i in range(LANES):
                p, q = state[_P + i], state[_Q + i]
                for j in range(UNROLL):
                    at = (k + j) * LANES + i
                    r, loss[at], _ = _sight(p, q, target, per_residual)
                    e = eta[at] * r
                    p, q = p - e * p, q + e * q
                state[_P + i], state[_Q + i] = p, q


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
            p, q = state[_P + i], state[_Q + i]
            at = k * LANES + i
            r, loss[at], sharpness[at] = _sight(p, q, target, per_residual)
            along_p, along_q = r * p, -r * q
            m_p = keep * state[_P_MOMENTUM + i] + take * along_p
            m_q = keep * state[_Q_MOMENTUM + i] + take * along_q
            state[_P_MOMENTUM + i], state[_Q_MOMENTUM + i] = m_p, m_q
            if plain:
                e = eta[at] * r
                state[_P + i], state[_Q + i] = p - e * p, q + e * q
            else:
                state[_P + i] = p - eta[at] * (of_momentum * m_p + of_gradient * along_p)
                state[_Q + i] = q - eta[at] * (of_momentum * m_q + of_gradient * along_q)
