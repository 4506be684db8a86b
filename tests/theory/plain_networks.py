"""Plain networks of any form of parameterization, in NumPy, beside those of the simulator.

A layer computes z_l = m_l h_{l-1} W_l, h_l = relu(z_l).
"""

from itertools import pairwise

import numpy as np
from oracle import derivatives

from simulator.theory import widths as theory


def draw_weights(of, widths, rng):
    return [
        np.sqrt(variance) * rng.standard_normal(shape)
        for variance, shape in zip(of.variances, pairwise(widths), strict=True)
    ]


def per_weight(values, widths):
    """One number for each weight, of one for each layer."""
    return np.concatenate(
        [np.full(i * o, value) for value, (i, o) in zip(values, pairwise(widths), strict=True)]
    )


def train(of, weights, widths, x, y, eta, *, adaptive, steps=20):
    """Losses (steps + 1,) by JAX's gradients under gradient descent, or Adam with eps = 0."""
    function = derivatives("relu", "mse", False, widths)
    theta = np.concatenate([w.ravel() for w in weights])
    rates = per_weight(of.adaptive_rates if adaptive else of.rates, widths)
    mean = square = np.zeros_like(theta)
    losses = []
    for t in range(1, steps + 2):
        loss, g, _ = map(np.asarray, function(theta, theta, x, y, of.multipliers))
        losses.append(float(loss))
        if adaptive:
            mean, square = 0.9 * mean + 0.1 * g, 0.999 * square + 0.001 * g**2
            root = np.sqrt(square / (1 - 0.999**t))
            g = mean / (1 - 0.9**t) / np.where(root > 0, root, np.inf)
        theta = theta - eta * rates * g
    return np.array(losses)


def interpolating(s, widths):
    """INT(s): first layer n^(s/2) times weights of variance 2 n^-s, readout n^(-s/2), else SP."""
    layers = theory.layers("sp", widths)
    n = float(widths[1])
    layers.multipliers[[0, -1]] = n ** (0.5 * s), n ** (-0.5 * s)
    layers.variances[0] = 2.0 * n**-s
    return layers


def slope(widths, values):
    return np.polyfit(np.log(widths), np.log(values), 1)[0]


def layers_of(form, widths):
    return theory.layers(form, widths) if isinstance(form, str) else interpolating(form, widths)


def forward(of, weights, x):
    """Activations of every layer, the output last."""
    hs = [x]
    for i, (m, w) in enumerate(zip(of.multipliers, weights, strict=True)):
        z = m * hs[-1] @ w
        hs.append(z if i == len(weights) - 1 else np.maximum(z, 0))
    return hs


def descend(of, weights, x, eta):
    """One gradient step on f, of residual 1: the new weights, and |df/dtheta|^2."""
    hs = forward(of, weights, x)
    delta, moved, kernel = np.ones((1, 1)), [], 0.0
    for i in reversed(range(len(weights))):
        g = of.multipliers[i] * hs[i].T @ delta
        kernel += np.sum(g**2)
        moved.append(weights[i] - eta * of.rates[i] * g)
        delta = of.multipliers[i] * delta @ weights[i].T * (hs[i] > 0)
    return moved[::-1], kernel
