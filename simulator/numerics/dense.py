"""Fully connected networks on flat arrays: forward, gradient, and the exact R-operator.

Notation, for layer l = 1 ... L with ``widths`` (n_0, ..., n_L) and ``multipliers`` m_l::

    z_l = m_l (h_{l-1} W_l + b_l),   h_l = act(z_l),   h_0 = x,   output z_L

``theta`` is flat: layer by layer W_l (n_{l-1}, n_l) in C order, then b_l if there are biases.
The tape of a gradient (``hidden``, ``slope``, ``bend``, ``error``, ``delta``) is flat too, hidden
layer after hidden layer, each (samples, n_l) in C order; ``hvp`` reads it, so that a product costs
less than two gradients. ``delta`` holds m_l dL/dz_l and ends with the output layer's.

The R-operator is Pearlmutter's (Neural Computation 6, 147, 1994): R{.} is the derivative along v.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from simulator.numerics.activations import activate
from simulator.numerics.elementary import exp
from simulator.numerics.jit import kernel

__all__ = ["LOSSES", "forward", "gradient", "hvp", "loss"]

LOSSES = {"mse": 0, "xent": 1}


@kernel
def _scale(rows: Any, m: float) -> None:
    if m != 1.0:
        for i in range(rows.shape[0]):
            for j in range(rows.shape[1]):
                rows[i, j] *= m


@kernel
def _add(rows: Any, more: Any) -> None:
    for i in range(rows.shape[0]):
        for j in range(rows.shape[1]):
            rows[i, j] += more[i, j]


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
        np.dot(h, w, z)
        if bias:
            _add_to_rows(z, theta[at : at + fan_out])
            at += fan_out
        _scale(z, multipliers[layer])
        if layer < layers - 1:
            activate(activation, hidden[tape:end], slope[tape:end], bend[tape:end])
            h, tape = z, end


@kernel
def loss(code: int, output: Any, y: Any) -> float:
    """mse: half the mean of (z - y)^2 over samples and outputs; xent: mean cross-entropy."""
    samples, outputs = output.shape
    total = 0.0
    if code == 0:
        for i in range(samples):
            for j in range(outputs):
                total += (output[i, j] - y[i, j]) ** 2
        return 0.5 * total / (samples * outputs)
    for i in range(samples):
        top = output[i].max()
        partition = 0.0
        for j in range(outputs):
            partition += exp(output[i, j] - top)
        log_partition = top + math.log(partition)
        for j in range(outputs):
            total += y[i, j] * (log_partition - output[i, j])
    return total / samples


@kernel
def _loss_slope(code: int, output: Any, y: Any, delta: Any) -> None:
    """dL/dz at the output layer."""
    samples, outputs = output.shape
    if code == 0:
        for i in range(samples):
            for j in range(outputs):
                delta[i, j] = (output[i, j] - y[i, j]) / (samples * outputs)
        return
    for i in range(samples):
        top = output[i].max()
        partition = 0.0
        for j in range(outputs):
            delta[i, j] = exp(output[i, j] - top)
            partition += delta[i, j]
        for j in range(outputs):
            delta[i, j] = (delta[i, j] / partition - y[i, j]) / samples


@kernel
def _loss_bend(code: int, y: Any, delta: Any, m: float, rz: Any) -> None:
    """Turn R{z} at the output layer into R{dL/dz}, in place. ``delta`` is m dL/dz."""
    samples, outputs = rz.shape
    if code == 0:
        for i in range(samples):
            for j in range(outputs):
                rz[i, j] /= samples * outputs
        return
    for i in range(samples):
        # Relative to the likeliest class, whose own probability, near 1, then takes no part in the
        # mean: differences of probabilities that all but cancel would leave rounding alone.
        top, likeliest = 0, delta[i, 0] / m * samples + y[i, 0]
        for j in range(1, outputs):
            probability = delta[i, j] / m * samples + y[i, j]
            if probability > likeliest:
                top, likeliest = j, probability
        shift = rz[i, top]
        mean = rz[i, top] - shift
        for j in range(outputs):
            rz[i, j] -= shift
            mean += (delta[i, j] / m * samples + y[i, j]) * rz[i, j]
        for j in range(outputs):
            probability = delta[i, j] / m * samples + y[i, j]
            rz[i, j] = probability * (rz[i, j] - mean) / samples


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
    error: Any,
    delta: Any,
    output: Any,
    out: Any,
) -> float:
    """Loss at ``theta``; its gradient goes to ``out``, and the tape is left for ``hvp``."""
    samples, layers = x.shape[0], widths.size - 1
    forward(theta, x, widths, multipliers, bias, activation, hidden, slope, bend, output)
    value = loss(loss_code, output, y)

    tape = samples * widths[1:layers].sum()
    at = theta.size
    d = delta[tape : tape + samples * widths[layers]].reshape(samples, widths[layers])
    _loss_slope(loss_code, output, y, d)
    for layer in range(layers - 1, -1, -1):
        fan_in, fan_out = widths[layer], widths[layer + 1]
        _scale(d, multipliers[layer])
        if bias:
            at -= fan_out
            _column_sums(d, out[at : at + fan_out])
        at -= fan_in * fan_out
        gw = out[at : at + fan_in * fan_out].reshape(fan_in, fan_out)
        if layer == 0:
            np.dot(x.T, d, gw)
            break
        start = tape - samples * fan_in
        h = hidden[start:tape].reshape(samples, fan_in)
        np.dot(h.T, d, gw)
        w = theta[at : at + fan_in * fan_out].reshape(fan_in, fan_out)
        e = error[start:tape]
        np.dot(d, w.T, e.reshape(samples, fan_in))
        below, s = delta[start:tape], slope[start:tape]
        for i in range(below.size):
            below[i] = e[i] * s[i]
        d, tape = below.reshape(samples, fan_in), start
    return value


@kernel
def hvp(
    theta: Any,
    v: Any,
    x: Any,
    y: Any,
    widths: Any,
    multipliers: Any,
    bias: bool,
    curved: bool,
    loss_code: int,
    hidden: Any,
    slope: Any,
    bend: Any,
    error: Any,
    delta: Any,
    rhidden: Any,
    rdelta: Any,
    scratch: Any,
    routput: Any,
    weights: Any,
    out: Any,
) -> None:
    """Hessian of the loss times ``v``, at the ``theta`` of the tape, into ``out``.

    ``rhidden`` and ``rdelta`` are like ``hidden``, ``routput`` like the output, ``scratch`` as long
    as the largest layer, ``weights`` as the largest W. ``curved``: the activation has a second
    derivative; a kink of ReLU has none, as in autodiff.
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
        np.dot(h, vw, rz)
        if layer > 0:
            rh = rhidden[tape - samples * fan_in : tape].reshape(samples, fan_in)
            more = scratch[: samples * fan_out].reshape(samples, fan_out)
            np.dot(rh, w, more)
            _add(rz, more)
        if bias:
            _add_to_rows(rz, v[at : at + fan_out])
            at += fan_out
        m = multipliers[layer]
        if layer == layers - 1:
            _scale(rz, m)
            break
        # act''(z) R{z} dL/dh is due on the way back, but R{h} is about to take R{z}'s place.
        flat, s = rhidden[tape:end], slope[tape:end]
        if curved:
            b, e = bend[tape:end], error[tape:end]
            kept = rdelta[tape:end]
            for i in range(flat.size):
                kept[i] = m * flat[i] * b[i] * e[i]
        for i in range(flat.size):
            flat[i] *= m * s[i]
        h, tape = hidden[tape:end].reshape(samples, fan_out), end

    d = delta[tape : tape + samples * widths[layers]].reshape(samples, widths[layers])
    _loss_bend(loss_code, y, d, multipliers[layers - 1], routput)
    rd = routput
    at = theta.size
    for layer in range(layers - 1, -1, -1):
        fan_in, fan_out = widths[layer], widths[layer + 1]
        _scale(rd, multipliers[layer])
        if bias:
            at -= fan_out
            _column_sums(rd, out[at : at + fan_out])
        at -= fan_in * fan_out
        hw = out[at : at + fan_in * fan_out].reshape(fan_in, fan_out)
        if layer == 0:
            np.dot(x.T, rd, hw)
            break
        start = tape - samples * fan_in
        np.dot(hidden[start:tape].reshape(samples, fan_in).T, rd, hw)
        more = weights[: fan_in * fan_out].reshape(fan_in, fan_out)
        np.dot(rhidden[start:tape].reshape(samples, fan_in).T, d, more)
        _add(hw, more)
        w = theta[at : at + fan_in * fan_out].reshape(fan_in, fan_out)
        vw = v[at : at + fan_in * fan_out].reshape(fan_in, fan_out)
        # R{e} replaces R{h}, whose last use is past; then R{delta} joins act''(z) R{z} e.
        re = rhidden[start:tape]
        np.dot(rd, w.T, re.reshape(samples, fan_in))
        extra = scratch[: samples * fan_in]
        np.dot(d, vw.T, extra.reshape(samples, fan_in))
        rbelow, s = rdelta[start:tape], slope[start:tape]
        if curved:
            for i in range(rbelow.size):
                rbelow[i] += s[i] * (re[i] + extra[i])
        else:
            for i in range(rbelow.size):
                rbelow[i] = s[i] * (re[i] + extra[i])
        rd = rbelow.reshape(samples, fan_in)
        d, tape = delta[start:tape].reshape(samples, fan_in), start
