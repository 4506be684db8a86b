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
from simulator.numerics.jit import kernel
from simulator.numerics.losses import LOSSES, loss

__all__ = ["LOSSES", "forward", "gradient", "hvp", "loss"]


@kernel
def _add_to_rows(rows: Any, row: Any) -> None:
    for i in range(rows.shape[0]):
        for j in range(rows.shape[1]):
            rows[i, j] += row[j]


@kernel
def _column_sums(rows: Any, out: Any) -> None:
    out[:] = 0.0
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
        w = theta[at : at + fan_in * fan_out].reshape(fan_in, fan_out)
        at += fan_in * fan_out
        end = tape + samples * fan_out
        z = output if layer == layers - 1 else hidden[tape:end].reshape(samples, fan_out)
        products.forward(h, w, z)
        if bias:
            _add_to_rows(z, theta[at : at + fan_out])
            at += fan_out
        if layer == layers - 1:
            activations.scale(z.reshape(z.size), multipliers[layer])
            break
        activations.activate(
            activation, hidden[tape:end], slope[tape:end], bend[tape:end], multipliers[layer]
        )
        h, tape = z, end


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

    tape = samples * widths[1:layers].sum()
    at = theta.size
    d = delta[tape : tape + samples * widths[layers]].reshape(samples, widths[layers])
    value = loss(loss_code, output, y, multipliers[layers - 1], d)
    for layer in range(layers - 1, -1, -1):
        fan_in, fan_out = widths[layer], widths[layer + 1]
        if bias:
            at -= fan_out
            _column_sums(d, out[at : at + fan_out])
        at -= fan_in * fan_out
        gw = out[at : at + fan_in * fan_out].reshape(fan_in, fan_out)
        if layer == 0:
            products.outer(x, d, 0.0, weights, gw)
            break
        start = tape - samples * fan_in
        h = hidden[start:tape]
        products.outer(h.reshape(samples, fan_in), d, 0.0, weights, gw)
        w = theta[at : at + fan_in * fan_out].reshape(fan_in, fan_out)
        below = delta[start:tape]
        products.backward(d, w, weights, below.reshape(samples, fan_in))
        activations.turn_back(
            activation, h, slope[start:tape], bend[start:tape], multipliers[layer - 1], below
        )
        d, tape = below.reshape(samples, fan_in), start
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
        w = theta[at : at + fan_in * fan_out].reshape(fan_in, fan_out)
        vw = v[at : at + fan_in * fan_out].reshape(fan_in, fan_out)
        at += fan_in * fan_out
        end = tape + samples * fan_out
        rz = routput if layer == layers - 1 else rhidden[tape:end].reshape(samples, fan_out)
        products.forward(h, vw, rz)
        if layer > 0:
            rh = rhidden[tape - samples * fan_in : tape].reshape(samples, fan_in)
            more = scratch[: samples * fan_out]
            products.forward(rh, w, more.reshape(samples, fan_out))
            flat = rz.reshape(more.size)
            for i in range(more.size):
                flat[i] += more[i]
        if bias:
            _add_to_rows(rz, v[at : at + fan_out])
            at += fan_out
        m = multipliers[layer]
        if layer == layers - 1:
            activations.scale(rz.reshape(rz.size), m)
            break
        # act''(z) R{z} dL/dh is due on the way back, but R{h} is about to take R{z}'s place.
        activations.along(
            activation, hidden[tape:end], slope[tape:end], bend[tape:end], delta[tape:end], m,
            rhidden[tape:end], rdelta[tape:end],
        )  # fmt: skip
        h, tape = hidden[tape:end].reshape(samples, fan_out), end

    d = delta[tape : tape + samples * widths[layers]].reshape(samples, widths[layers])
    losses.along(loss_code, output, multipliers[layers - 1], routput)
    rd = routput
    at = theta.size
    for layer in range(layers - 1, -1, -1):
        fan_in, fan_out = widths[layer], widths[layer + 1]
        if bias:
            at -= fan_out
            _column_sums(rd, out[at : at + fan_out])
        at -= fan_in * fan_out
        hw = out[at : at + fan_in * fan_out].reshape(fan_in, fan_out)
        if layer == 0:
            products.outer(x, rd, 0.0, weights, hw)
            break
        start = tape - samples * fan_in
        h = hidden[start:tape].reshape(samples, fan_in)
        products.outer(h, rd, 0.0, weights, hw)
        products.outer(rhidden[start:tape].reshape(samples, fan_in), d, 1.0, weights, hw)
        w = theta[at : at + fan_in * fan_out].reshape(fan_in, fan_out)
        vw = v[at : at + fan_in * fan_out].reshape(fan_in, fan_out)
        # R{e} replaces R{h}, whose last use is past; then R{delta} joins act''(z) R{z} e.
        re, more = rhidden[start:tape], scratch[: samples * fan_in]
        products.backward(rd, w, weights, re.reshape(samples, fan_in))
        products.backward(d, vw, weights, more.reshape(samples, fan_in))
        below = rdelta[start:tape]
        activations.back_along(
            activation, hidden[start:tape], slope[start:tape], multipliers[layer - 1], re, more,
            below,
        )  # fmt: skip
        rd = below.reshape(samples, fan_in)
        d, tape = delta[start:tape].reshape(samples, fan_in), start
