"""Laws of curvature against loss: closed forms of products of weights, beside dense Hessians."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from simulator.arrays import Array
from simulator.data import Data
from simulator.laws.law import Reading, equal, law
from simulator.laws.pictures import chains as pictures
from simulator.models import UV
from simulator.theory import chains


def _hessian(weights: Array, y: float) -> Array:
    """Of (w_1 ... w_L - y)^2 / 2, by products over the other weights."""
    depth, f = len(weights), float(np.prod(weights))
    slopes = np.array([np.prod(np.delete(weights, i)) for i in range(depth)])
    hessian = np.outer(slopes, slopes)
    for i in range(depth):
        for j in range(i):
            bend = (f - y) * np.prod(np.delete(weights, [i, j]))
            hessian[i, j] += bend
            hessian[j, i] += bend
    return hessian


def _balanced(rng: np.random.Generator, depth: int) -> Array:
    """Weights (depth,) of one size and any signs."""
    return rng.uniform(0.3, 2.0) * rng.choice([-1.0, 1.0], depth)


@law(1e-12)
def chain_spectrum(rng: np.random.Generator) -> Iterator[Reading]:
    """A balanced chain has A + (L-1) B once and A - B L-1 times, A = f^2/w^2, B = f (2f-y)/w^2.

    Derived here. Dense Hessians of 2 to 8 weights of any signs, on both sides of 0, y/2 and y.
    """
    for depth in (2, 3, 4, 5, 8):
        for share in (-1.0, 0.1, 0.3, 0.49, 0.7, 1.5, 4.0):
            weights = _balanced(rng, depth)
            f = float(np.prod(weights))
            y = f / share
            once, others = chains.chain_eigenvalues(f, y, depth)
            predicted = np.sort([once, *[others] * (depth - 1)])
            values = np.linalg.eigvalsh(_hessian(weights, y))
            size = np.abs(values).max()
            yield equal(predicted, values, scale=size)
            yield equal(chains.chain_sharpness(f, y, depth), values[-1], scale=size)


@law(1e-12, picture=pictures.imbalances)
def two_layer_sharpness(rng: np.random.Generator) -> Iterator[Reading]:
    """Two weights of imbalance C: sharpness (sqrt(4 f^2 + C^2) + sqrt(4 (2f-y)^2 + C^2)) / 2.

    Derived here; dense Hessians of any two weights. Balanced it is |f| + |2f - y|.
    """
    for _ in range(24):
        weights, y = rng.normal(0.0, 2.0, 2), rng.normal()
        f, imbalance = float(np.prod(weights)), abs(float(weights[0] ** 2 - weights[1] ** 2))
        values = np.linalg.eigvalsh(_hessian(weights, y))
        yield equal(chains.two_layer_sharpness(f, y, imbalance), values[-1])


@law(1e-10)
def width_does_not_matter(rng: np.random.Generator) -> Iterator[Reading]:
    """Aligned U and V of any width have c times the sharpness of two weights of imbalance c C.

    Derived here; the Hessian of UV models in their parameters, of 2 to 6 hidden units.
    """
    for width in (2, 3, 4, 6):
        model = UV(width, 0.5, 1.0, "parameters")
        weights, y = rng.normal(0.0, 1.5, 2), rng.normal()
        unit = rng.standard_normal(width)
        unit /= np.linalg.norm(unit)
        theta = np.concatenate([weights[0] * unit, weights[1] * unit])
        data = Data(np.array([[1.0]]), np.array([[y]]))
        f, imbalance = float(np.prod(weights)), abs(float(weights[0] ** 2 - weights[1] ** 2))
        c = model.c
        predicted = c * chains.two_layer_sharpness(c * f, y, c * imbalance)
        yield equal(predicted, np.linalg.eigvalsh(model.hessian(theta, data))[-1])


@law(0.02)
def gap_exponent(rng: np.random.Generator) -> Iterator[Reading]:
    """Far above its target a balanced chain's sharpness grows as the loss to the power 1 - 1/L.

    Derived here. The slope of the logarithms from f of some hundred y on, by dense Hessians.
    """
    for depth in (2, 3, 4, 6):
        signs, lowest = rng.choice([-1.0, 1.0], depth), rng.uniform(300.0, 1000.0)
        ends = []
        for f in (lowest, 4.0 * lowest):
            weights = f ** (1.0 / depth) * signs
            y = float(np.prod(signs))
            top = np.linalg.eigvalsh(_hessian(weights, y))[-1]
            ends.append(np.log([top, 0.5 * (np.prod(weights) - y) ** 2]))
        rise = ends[1] - ends[0]
        yield equal(chains.gap_exponent(depth), rise[0] / rise[1])


@law(1e-12)
def imbalance_of_two_layers(rng: np.random.Generator) -> Iterator[Reading]:
    """An update multiplies |w_1^2 - w_2^2| by |(1 - eta kappa)^2 - (eta Delta)^2|.

    Derived here: descent takes it away, gradient flow keeps it, weight decay speeds it up.
    """
    w, y = rng.normal(0.0, 1.0, (2, 16)), rng.normal(size=16)
    eta, decay = rng.uniform(0.0, 1.0, (2, 16))
    residual = w[0] * w[1] - y
    after = (1.0 - eta * decay) * w - eta * residual * w[::-1]
    before, left = (np.abs(v[0] ** 2 - v[1] ** 2) for v in (w, after))
    predicted = chains.next_imbalance(before, residual, eta, decay)
    yield equal(predicted, left, scale=np.sum(w**2, axis=0) + np.sum(after**2, axis=0))
