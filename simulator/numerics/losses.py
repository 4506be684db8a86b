"""Losses of network outputs z (samples, n_L), with their first derivative and their R-operator.

mse: half the mean of (z - y)^2 over samples and outputs; xent: mean cross-entropy of softmax(z).
``m`` is the multiplier of the output layer, which its delta = m dL/dz takes along.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from simulator.numerics.jit import kernel, nested
from simulator.numerics.precision import exp
from simulator.numerics.views import vector

__all__ = ["LOSSES", "along", "loss"]

LOSSES = {"mse": 0, "xent": 1}


@nested
def _below_the_top(output: Any, delta: Any) -> None:
    """Each row less its largest number, so that no exponential overflows."""
    samples, outputs = output.shape
    for i in range(samples):
        top = output[i, 0]
        for j in range(1, outputs):
            z = output[i, j]
            top = z if z > top else top
        for j in range(outputs):
            delta[i, j] = output[i, j] - top


@nested
def _product(x: Any, y: Any) -> float:
    # Four sums, so that an addition need not wait for the one before it.
    a = b = c = d = 0.0
    even = x.size - x.size % 4
    for i in range(0, even, 4):
        a += np.float64(x[i]) * np.float64(y[i])
        b += np.float64(x[i + 1]) * np.float64(y[i + 1])
        c += np.float64(x[i + 2]) * np.float64(y[i + 2])
        d += np.float64(x[i + 3]) * np.float64(y[i + 3])
    for i in range(even, x.size):
        a += np.float64(x[i]) * np.float64(y[i])
    return (a + b) + (c + d)


@nested
def _mse(output: Any, y: Any, m: float, delta: Any) -> float:
    for i in range(delta.size):
        delta[i] = output[i] - y[i]
    value = 0.5 * _product(delta, delta) / delta.size
    factor = delta.dtype.type(m / delta.size)
    for i in range(delta.size):
        delta[i] *= factor
    return value


@nested
def _xent(output: Any, y: Any, m: float, delta: Any) -> float:
    samples, outputs = output.shape
    _below_the_top(output, delta)
    flat = vector(delta, 0, delta.size)
    total = -_product(flat, vector(y, 0, y.size))
    for i in range(flat.size):
        flat[i] = exp(flat[i])
    factor = delta.dtype.type(m / samples)
    for i in range(samples):
        partition, weight = 0.0, 0.0
        for j in range(outputs):
            partition += delta[i, j]
            weight += y[i, j]
        total += weight * math.log(partition)
        share = delta.dtype.type(1.0 / partition)
        for j in range(outputs):
            output[i, j] = delta[i, j] * share
            delta[i, j] = (output[i, j] - y[i, j]) * factor
    return total / samples


@kernel
def loss(code: int, output: Any, y: Any, m: float, delta: Any) -> float:
    """The loss; m dL/dz goes to ``delta``, and with xent the probabilities replace ``output``."""
    if code == 0:
        size = output.size
        return _mse(vector(output, 0, size), vector(y, 0, size), m, vector(delta, 0, size))
    return _xent(output, y, m, delta)


@nested
def along(code: int, probabilities: Any, m: float, rz: Any) -> None:
    """Turn R{z} into m R{dL/dz}, in place; ``probabilities`` are what `loss` left in ``output``."""
    samples, outputs = rz.shape
    if code == 0:
        factor = rz.dtype.type(m / rz.size)
        for i in range(samples):
            for j in range(outputs):
                rz[i, j] *= factor
        return
    factor = rz.dtype.type(m / samples)
    for i in range(samples):
        # Relative to the likeliest class, whose own probability, near 1, then takes no part in the
        # mean: differences of probabilities that all but cancel would leave rounding alone.
        top, likeliest = 0, probabilities[i, 0]
        for j in range(1, outputs):
            probability = probabilities[i, j]
            top = j if probability > likeliest else top
            likeliest = probability if probability > likeliest else likeliest
        shift, mean = rz[i, top], 0.0
        for j in range(outputs):
            rz[i, j] -= shift
            mean += probabilities[i, j] * rz[i, j]
        less = rz.dtype.type(mean)
        for j in range(outputs):
            rz[i, j] = probabilities[i, j] * (rz[i, j] - less) * factor
