"""Fully connected networks on flat arrays: forward, gradient, and the exact R-operator.

Notation, for layer l = 1 ... L with ``widths`` (n_0, ..., n_L) and ``multipliers`` m_l::

    z_l = m_l (u_{l-1} W_l + b_l),   a_l = act(z_l),   u_l = a_l,   u_0 = x,   output z_L

Where ``places`` has BEFORE for a hidden layer, a_l = act(LN(z_l)) with the ``eps`` of the layer;
where it has AFTER, u_l = LN(h_l). With ``skip`` NONE h_l = a_l. With another, h_1 = a_1 = z_1 and
then h_l = h_{l-1} + a_l with STREAM, u_{l-1} + a_l with NORMED; u_l = h_l where nothing is AFTER.

``theta`` is flat: layer by layer W_l (n_{l-1}, n_l) in C order, then b_l if there are biases; then
the gain and the shift of each LN, if ``affine``. The tape of a gradient (``hidden`` with a_l,
``slope``, ``bend``, ``delta``) is flat too, hidden layer after hidden layer, each (samples, n_l) in
C order; ``hvp`` reads it, so that a product costs less than two gradients. ``slope`` and ``bend``
are empty where the activation keeps none. ``delta`` holds m_l dL/dz_l and ends with the output
layer's; ``output`` holds z_L, or with cross-entropy the probabilities. ``inputs`` has u_l where it
is not a_l, and is ``normed`` itself if norms are AFTER and not ``affine``; the other tapes are
those of `numerics.layer_norm`. ``stream`` is as long as a hidden layer: h_l, or its derivative.
``weights`` is as long as the largest W.

The R-operator is Pearlmutter's (Neural Computation 6, 147, 1994): R{.} is the derivative along v.
"""

from __future__ import annotations

from typing import Any

from simulator.numerics import activations, layer_norm, losses, products
from simulator.numerics.jit import kernel, nested
from simulator.numerics.layer_norm import AFTER, BEFORE
from simulator.numerics.losses import LOSSES, loss
from simulator.numerics.views import matrix, vector

__all__ = ["LOSSES", "NONE", "NORMED", "STREAM", "forward", "gradient", "hvp", "loss"]

# What is added to a hidden layer: nothing, h_{l-1}, or u_{l-1}.
NONE, STREAM, NORMED = 0, 1, 2


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


@nested
def _weights(widths: Any, bias: bool) -> int:
    """How many numbers of theta are weights and biases."""
    count = 0
    for layer in range(widths.size - 1):
        count += (widths[layer] + bias) * widths[layer + 1]
    return count


@nested
def _code(activation: int, skip: int, layer: int) -> int:
    """A sum begins with a linear layer."""
    return 0 if skip and layer == 0 else activation


@nested
def _copy(source: Any, target: Any) -> None:
    for i in range(target.size):
        target[i] = source[i]


@nested
def _add(source: Any, target: Any) -> None:
    for i in range(target.size):
        target[i] += source[i]


@nested
def _clear(target: Any) -> None:
    for i in range(target.size):
        target[i] = 0.0


@nested
def _read(hidden: Any, inputs: Any, place: int, skip: int, tape: int, samples: int, n: int) -> Any:
    """What the next layer reads of a hidden one."""
    if skip or place == AFTER:
        return matrix(inputs, tape, samples, n)
    return matrix(hidden, tape, samples, n)


@kernel
def forward(
    theta: Any,
    x: Any,
    widths: Any,
    multipliers: Any,
    bias: bool,
    activation: int,
    places: Any,
    skip: int,
    affine: bool,
    eps: Any,
    hidden: Any,
    slope: Any,
    bend: Any,
    inputs: Any,
    normed: Any,
    scales: Any,
    stream: Any,
    output: Any,
) -> None:
    """Fill the tape up to ``scales``, and ``output`` (samples, n_L)."""
    samples, layers = x.shape[0], widths.size - 1
    h, at, tape, gains = x, 0, 0, _weights(widths, bias)
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
        place = places[layer]
        if place == BEFORE:
            layer_norm.forward(z, theta, gains, affine, eps[layer], normed, scales, layer, tape, z)
            if not affine:
                _copy(vector(normed, tape, count), flat)
        activations.activate(
            _code(activation, skip, layer), flat, vector(slope, tape, count),
            vector(bend, tape, count), m,
        )  # fmt: skip
        h = _read(hidden, inputs, place, skip, tape, samples, fan_out)
        if skip:
            z = matrix(stream, 0, samples, fan_out)
            if layer == 0:
                _copy(flat, stream)
            else:
                _add(flat, stream)
        if place == AFTER:
            layer_norm.forward(z, theta, gains, affine, eps[layer], normed, scales, layer, tape, h)
        elif skip:
            _copy(stream, vector(h, 0, count))
        if skip == NORMED:
            _copy(vector(h, 0, count), stream)
        if place:
            gains += 2 * fan_out * affine
        tape += count


@kernel
def gradient(
    theta: Any,
    x: Any,
    y: Any,
    widths: Any,
    multipliers: Any,
    bias: bool,
    activation: int,
    places: Any,
    skip: int,
    affine: bool,
    eps: Any,
    loss_code: int,
    hidden: Any,
    slope: Any,
    bend: Any,
    inputs: Any,
    normed: Any,
    scales: Any,
    upper: Any,
    delta: Any,
    output: Any,
    stream: Any,
    weights: Any,
    out: Any,
) -> float:
    """Loss at ``theta``; its gradient goes to ``out``, and the tape is left for ``hvp``."""
    samples, layers = x.shape[0], widths.size - 1
    forward(
        theta, x, widths, multipliers, bias, activation, places, skip, affine, eps, hidden, slope,
        bend, inputs, normed, scales, stream, output,
    )  # fmt: skip

    tape, at, gains = delta.size - output.size, _weights(widths, bias), theta.size
    d = matrix(delta, tape, samples, widths[layers])
    _clear(stream)
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
        place = places[layer - 1]
        h = _read(hidden, inputs, place, skip, tape, samples, fan_in)
        products.outer(h, d, 0.0, weights, gw)
        below, flat = matrix(delta, tape, samples, fan_in), vector(delta, tape, count)
        products.backward(d, matrix(theta, at, fan_in, fan_out), weights, below)
        if place:
            gains -= 2 * fan_in * affine
        # dL/du becomes dL/dh; the stream has what the layer above adds to one of them.
        if skip == NORMED:
            _add(stream, flat)
        if place == AFTER:
            layer_norm.back(
                below, theta, gains, affine, normed, scales, layer - 1, tape, upper,
                out,
            )  # fmt: skip
        if skip == STREAM:
            _add(stream, flat)
        if skip:
            _copy(flat, stream)
        activations.turn_back(
            _code(activation, skip, layer - 1), vector(hidden, tape, count),
            vector(slope, tape, count), vector(bend, tape, count), multipliers[layer - 1], flat,
        )  # fmt: skip
        if place == BEFORE:
            layer_norm.back(
                below, theta, gains, affine, normed, scales, layer - 1, tape, upper,
                out,
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
    places: Any,
    skip: int,
    affine: bool,
    loss_code: int,
    hidden: Any,
    slope: Any,
    bend: Any,
    inputs: Any,
    normed: Any,
    scales: Any,
    upper: Any,
    delta: Any,
    output: Any,
    rhidden: Any,
    rinputs: Any,
    rnormed: Any,
    rscales: Any,
    rdelta: Any,
    scratch: Any,
    routput: Any,
    stream: Any,
    weights: Any,
    out: Any,
) -> None:
    """Hessian of the loss times ``v``, at the ``theta`` of the tape, into ``out``.

    ``rhidden`` and ``rdelta`` are like ``hidden``, ``routput`` like the output, ``scratch`` as long
    as the largest layer; ``rscales`` gets the q of each LN. A kink of ReLU has no second
    derivative, as in autodiff.
    """
    samples, layers = x.shape[0], widths.size - 1

    h, rh, at, tape, gains = x, x, 0, 0, _weights(widths, bias)
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
        place, due = places[layer], vector(delta, tape, count)
        if place == BEFORE:
            layer_norm.along(
                rz, theta, v, gains, affine, normed, scales, layer, tape, rnormed,
                rscales, rz,
            )  # fmt: skip
            due = vector(upper, tape, count)
        # act''(z) R{z} dL/da is due on the way back, but R{a} is about to take R{z}'s place.
        activations.along(
            _code(activation, skip, layer), vector(hidden, tape, count), vector(slope, tape, count),
            vector(bend, tape, count), due, m, flat, vector(rdelta, tape, count),
        )  # fmt: skip
        h = _read(hidden, inputs, place, skip, tape, samples, fan_out)
        rh = _read(rhidden, rinputs, place, skip, tape, samples, fan_out)
        if skip:
            rz = matrix(stream, 0, samples, fan_out)
            if layer == 0:
                _copy(flat, stream)
            else:
                _add(flat, stream)
        if place == AFTER:
            layer_norm.along(
                rz, theta, v, gains, affine, normed, scales, layer, tape, rnormed,
                rscales, rh,
            )  # fmt: skip
        elif skip:
            _copy(stream, vector(rh, 0, count))
        if skip == NORMED:
            _copy(vector(rh, 0, count), stream)
        if place:
            gains += 2 * fan_out * affine
        tape += count

    d = matrix(delta, tape, samples, widths[layers])
    losses.along(loss_code, output, multipliers[layers - 1], routput)
    rd = routput
    _clear(stream)
    at, gains = _weights(widths, bias), theta.size
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
        place = places[layer - 1]
        h = _read(hidden, inputs, place, skip, tape, samples, fan_in)
        rh = _read(rhidden, rinputs, place, skip, tape, samples, fan_in)
        products.outer(h, rd, 0.0, weights, hw)
        products.outer(rh, d, 1.0, weights, hw)
        # R{e} replaces R{u}, whose last use is past; then R{delta} joins act''(z) R{z} e.
        w, vw = matrix(theta, at, fan_in, fan_out), matrix(v, at, fan_in, fan_out)
        products.backward(rd, w, weights, rh)
        products.backward(d, vw, weights, matrix(scratch, 0, samples, fan_in))
        re, more = vector(rh, 0, count), vector(scratch, 0, count)
        if place:
            gains -= 2 * fan_in * affine
        if skip or place == AFTER:
            _add(more, re)
            _clear(more)
        if skip == NORMED:
            _add(stream, re)
        if place == AFTER:
            layer_norm.back_along(
                rh, theta, v, gains, affine, normed, scales, layer - 1, tape, upper,
                rnormed, rscales, out,
            )  # fmt: skip
        if skip == STREAM:
            _add(stream, re)
        if skip:
            _copy(re, stream)
        rd, d = matrix(rdelta, tape, samples, fan_in), matrix(delta, tape, samples, fan_in)
        activations.back_along(
            _code(activation, skip, layer - 1), vector(hidden, tape, count),
            vector(slope, tape, count), multipliers[layer - 1], re, more,
            vector(rdelta, tape, count),
        )  # fmt: skip
        if place == BEFORE:
            layer_norm.back_along(
                rd, theta, v, gains, affine, normed, scales, layer - 1, tape, upper,
                rnormed, rscales, out,
            )  # fmt: skip
