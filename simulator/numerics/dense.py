"""Fully connected networks on flat arrays: forward, gradient, and the exact R-operator.

Notation, for layer l = 1 ... L with ``widths`` (n_0, ..., n_L) and ``multipliers`` m_l::

    z_l = m_l (h_{l-1} W_l + b_l),   h_l = act(z_l),   h_0 = x,   output z_L

``theta`` is flat: layer by layer W_l (n_{l-1}, n_l) in C order, then b_l if there are biases.
The tape of a gradient (``hidden``, ``slope``, ``bend``, ``delta``) is flat too, hidden layer after
hidden layer, each (samples, n_l) in C order; ``hvp`` reads it, so that a product costs less than
two gradients. ``slope`` and ``bend`` are empty where the activation keeps none. ``delta`` holds
m_l dL/dz_l and ends with the output layer's; ``output`` holds z_L, or with cross-entropy the
probabilities. ``weights`` is as long as the largest W.

The R-operator is Pearlmutter's (Neural Computation 6, 147, 1994): R{.} is the derivative along v.
"""

from __future__ import annotations

from typing import Any

from simulator.numerics import activations, losses, products
from simulator.numerics.jit import kernel, nested
from simulator.numerics.losses import LOSSES, loss
from simulator.numerics.views import matrix, vector

__all__ = ["LOSSES", "forward", "gradient", "hvp", "loss"]


@nested
def _add_to_rows(rows: Any, row: Any) -> None:
    for i in range(rows.shape[0]):
        for j in range(rows.shape[1]):
            rows[i, j] += row[j]


@nested
def _column_sums(rows: Any, out: Any) -> None:
    for j in range(out.size):
        out[j] = 0.0
    for i in range(rows.shape[0]):
        for j in range(rows.shape[1]):
            out[j] += rows[i, j]


@kernel
def forward(
    theta: Any,
    x: Any,
    widths: Any,
    multipliers: Any,
    bias: bool,
    activation: int,
    hidden: Any,
    slope: Any,
    bend: Any,
    output: Any,
) -> None:
    """Fill ``hidden``, ``slope``, ``bend`` and ``output`` (samples, n_L)."""
    samples, layers = x.shape[0], widths.size - 1
    h, at, tape = x, 0, 0
    for layer in range(layers):
        fan_in, fan_out = widths[layer], widths[layer + 1]
        w = matrix(theta, at, fan_in, fan_out)
        at += fan_in * fan_out
        count = samples * fan_out
        z = output if layer == layers - 1 else matrix(hidden, tape, samples, fan_out)
        products.forward(h, w, z)
        if bias:
            _add_to_rows(z, vector(theta, at, fan_out))
            at += fan_out
        flat, m = vector(z, 0, count), multipliers[layer]
        if layer == layers - 1:
            activations.scale(flat, m)
            break
        activations.activate(
            activation, flat, vector(slope, tape, count), vector(bend, tape, count), m
        )
        h, tape = z, tape + count


@kernel
def gradient(
    theta: Any,
    x: Any,
    y: Any,
    widths: Any,
    multipliers: Any,
    bias: bool,
    activation: int,
    loss_code: int,
    hidden: Any,
    slope: Any,
    bend: Any,
    delta: Any,
    output: Any,
    weights: Any,
    out: Any,
) -> float:
    """Loss at ``theta``; its gradient goes to ``out``, and the tape is left for ``hvp``."""
    samples, layers = x.shape[0], widths.size - 1
    forward(theta, x, widths, multipliers, bias, activation, hidden, slope, bend, output)

    tape, at = delta.size - output.size, theta.size
    d = matrix(delta, tape, samples, widths[layers])
    value = loss(loss_code, output, y, multipliers[layers - 1], d)
    for layer in range(layers - 1, -1, -1):
        fan_in, fan_out = widths[layer], widths[layer + 1]
        if bias:
            at -= fan_out
            _column_sums(d, vector(out, at, fan_out))
        at -= fan_in * fan_out
        gw = matrix(out, at, fan_in, fan_out)
        if layer == 0:
            products.outer(x, d, 0.0, weights, gw)
            break
        count = samples * fan_in
        tape -= count
        products.outer(matrix(hidden, tape, samples, fan_in), d, 0.0, weights, gw)
        below = matrix(delta, tape, samples, fan_in)
        products.backward(d, matrix(theta, at, fan_in, fan_out), weights, below)
        activations.turn_back(
            activation, vector(hidden, tape, count), vector(slope, tape, count),
            vector(bend, tape, count), multipliers[layer - 1], vector(delta, tape, count),
        )  # fmt: skip
        d = below
    return value


@kernel
def hvp(
    theta: Any,
    v: Any,
    x: Any,
    widths: Any,
    multipliers: Any,
    bias: bool,
    activation: int,
    loss_code: int,
    hidden: Any,
    slope: Any,
    bend: Any,
    delta: Any,
    output: Any,
    rhidden: Any,
    rdelta: Any,
    scratch: Any,
    routput: Any,
    weights: Any,
    out: Any,
) -> None:
    """Hessian of the loss times ``v``, at the ``theta`` of the tape, into ``out``.

    ``rhidden`` and ``rdelta`` are like ``hidden``, ``routput`` like the output, ``scratch`` as long
    as the largest layer. A kink of ReLU has no second derivative, as in autodiff.
    """
    samples, layers = x.shape[0], widths.size - 1

    h, at, tape = x, 0, 0
    for layer in range(layers):
        fan_in, fan_out = widths[layer], widths[layer + 1]
        w = matrix(theta, at, fan_in, fan_out)
        vw = matrix(v, at, fan_in, fan_out)
        at += fan_in * fan_out
        count = samples * fan_out
        rz = routput if layer == layers - 1 else matrix(rhidden, tape, samples, fan_out)
        flat = vector(rz, 0, count)
        products.forward(h, vw, rz)
        if layer > 0:
            rh = matrix(rhidden, tape - samples * fan_in, samples, fan_in)
            products.forward(rh, w, matrix(scratch, 0, samples, fan_out))
            more = vector(scratch, 0, count)
            for i in range(count):
                flat[i] += more[i]
        if bias:
            _add_to_rows(rz, vector(v, at, fan_out))
            at += fan_out
        m = multipliers[layer]
        if layer == layers - 1:
            activations.scale(flat, m)
            break
        # act''(z) R{z} dL/dh is due on the way back, but R{h} is about to take R{z}'s place.
        activations.along(
            activation, vector(hidden, tape, count), vector(slope, tape, count),
            vector(bend, tape, count), vector(delta, tape, count), m, flat,
            vector(rdelta, tape, count),
        )  # fmt: skip
        h, tape = matrix(hidden, tape, samples, fan_out), tape + count

    d = matrix(delta, tape, samples, widths[layers])
    losses.along(loss_code, output, multipliers[layers - 1], routput)
    rd = routput
    at = theta.size
    for layer in range(layers - 1, -1, -1):
        fan_in, fan_out = widths[layer], widths[layer + 1]
        if bias:
            at -= fan_out
            _column_sums(rd, vector(out, at, fan_out))
        at -= fan_in * fan_out
        hw = matrix(out, at, fan_in, fan_out)
        if layer == 0:
            products.outer(x, rd, 0.0, weights, hw)
            break
        count = samples * fan_in
        tape -= count
        rh = matrix(rhidden, tape, samples, fan_in)
        products.outer(matrix(hidden, tape, samples, fan_in), rd, 0.0, weights, hw)
        products.outer(rh, d, 1.0, weights, hw)
        # R{e} replaces R{h}, whose last use is past; then R{delta} joins act''(z) R{z} e.
        w, vw = matrix(theta, at, fan_in, fan_out), matrix(v, at, fan_in, fan_out)
        products.backward(rd, w, weights, rh)
        products.backward(d, vw, weights, matrix(scratch, 0, samples, fan_in))
        activations.back_along(
            activation, vector(hidden, tape, count), vector(slope, tape, count),
            multipliers[layer - 1], vector(rh, 0, count), vector(scratch, 0, count),
            vector(rdelta, tape, count),
        )  # fmt: skip
        rd, d = matrix(rdelta, tape, samples, fan_in), matrix(delta, tape, samples, fan_in)
