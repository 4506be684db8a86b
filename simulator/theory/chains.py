"""Sharpness as a function of the loss: products of weights on one example, in closed form.

A scalar chain f = w_1 ... w_L on the loss (f - y)^2 / 2, with residual Delta = f - y. Balanced
means |w_1| = ... = |w_L|, which gradient descent conserves; two layers may differ by the imbalance
C = |w_1^2 - w_2^2|. All derived here.
"""

from __future__ import annotations

import numpy as np

from simulator.arrays import Array, Real
from simulator.theory.domain import domain

__all__ = [
    "chain_eigenvalues", "chain_sharpness", "gap_exponent", "next_imbalance", "two_layer_sharpness",
]  # fmt: skip

F, Y = "-1e40 <= f <= 1e40", "-1e40 <= y <= 1e40"
DEPTH = "2 <= depth <= 1e6"


@domain(F, Y, DEPTH)
def chain_eigenvalues(f: Real, y: Real, depth: Real) -> tuple[Array, Array]:
    """Hessian eigenvalues of a balanced chain of L = depth weights: A + (L - 1) B, and A - B.

    The second is L - 1 fold. A = f^2 / w^2 is on the diagonal of the Hessian, and B = f (2 f - y) /
    w^2 off it but for signs that do not matter; w = |f|^(1/L).
    """
    a, b = _entries(f, y, depth)
    return a + (depth - 1.0) * b, a - b


@domain(F, Y, DEPTH)
def chain_sharpness(f: Real, y: Real, depth: Real) -> Array:
    """Sharpness of a balanced chain: L f^2 / w^2 + (L - 1)(f - y) f / w^2, w = |f|^(1/L).

    Where f (2 f - y) < 0, between 0 and half the target, it is the other eigenvalue,
    f (y - f) / w^2. At y = 0 it is (2 L - 1) |Delta|^(2 - 2/L).
    """
    a, b = _entries(f, y, depth)
    return a + np.maximum((depth - 1.0) * b, -b)


def _entries(f: Real, y: Real, depth: Real) -> tuple[Array, Array]:
    sign = np.where(np.less(f, 0.0), -1.0, 1.0)
    # f / w^2 without dividing by a w of 0.
    per_square = np.power(np.abs(f), 1.0 - 2.0 / depth)
    return np.abs(f) * per_square, sign * per_square * (2.0 * f - y)


@domain(F, Y, "0 <= imbalance <= 1e40")
def two_layer_sharpness(f: Real, y: Real, imbalance: Real = 0.0) -> Array:
    """Sharpness of two weights: (sqrt(4 f^2 + C^2) + sqrt(4 (2 f - y)^2 + C^2)) / 2.

    |f| + |2 f - y| if balanced. It rises with C = ``imbalance`` at the same loss: no function of
    the loss bounds the sharpness of networks that are not balanced. Of U and V at any width, if
    they are aligned, it is c times this at c C, with the multiplier c.
    """
    return 0.5 * (np.hypot(2.0 * f, imbalance) + np.hypot(2.0 * (2.0 * f - y), imbalance))


@domain("1 <= depth <= 1e6", gives="0 <= result <= 1")
def gap_exponent(depth: Real) -> Real:
    """Exponent of the loss in the sharpness of a balanced chain far above its target: 1 - 1/L.

    Exact at y = 0; a slope d ln(sharpness) / d ln(loss) near the minimum is another number.
    """
    return 1.0 - 1.0 / depth


@domain(
    "0 <= imbalance <= 1e40", "-1e40 <= residual <= 1e40", "0 <= eta <= 1e40", "0 <= decay <= 1e40"
)
def next_imbalance(imbalance: Real, residual: Real, eta: Real, decay: Real = 0.0) -> Array:
    """C = |w_1^2 - w_2^2| after an update: |(1 - eta kappa)^2 - (eta Delta)^2| C.

    So a balanced chain stays balanced, gradient flow conserves C, and descent and weight decay
    reduce it.
    """
    return np.abs((1.0 - eta * decay) ** 2 - (eta * residual) ** 2) * imbalance
