"""Laws of minibatches on quadratics, by enumerating every batch or by many runs side by side."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from simulator.laws.batches import measured_limit, moment_growth, of_batches
from simulator.laws.law import Reading, equal, law
from simulator.laws.pictures import noise as pictures
from simulator.theory import noise


@law(1e-6)
def mean_square_limit_of_sgd(rng: np.random.Generator) -> Iterator[Reading]:
    """SGD is stable in mean square iff eta < 2 lambda / (lambda^2 + v), v the batch's variance.

    Batches with and without replacement, the second moment by enumerating all of them.
    """
    for batch, replacement in ((1, True), (2, True), (2, False), (3, False)):
        curvatures = rng.uniform(0.2, 3.0, 4)
        share = float(noise.share_of_variance(batch, np.inf if replacement else curvatures.size))
        yield equal(
            noise.mean_square_limit(curvatures.mean(), curvatures.var() * share),
            measured_limit(curvatures, batch, 0.0, replacement=replacement),
        )


@law(1e-6, picture=pictures.batches)
def batches_with_momentum(rng: np.random.Generator) -> Iterator[Reading]:
    """Momentum makes noise count (1 + beta) / (1 - beta) times: its limit falls at small batches.

    2 (1 + b)(1 - b) lambda / ((1 - b) lambda^2 + (1 + b) v); by enumerating all batches.
    """
    for batch in (1, 2, 3):
        curvatures, beta = rng.uniform(0.2, 3.0, 3), rng.uniform(0.2, 0.9)
        variance = curvatures.var() * float(noise.share_of_variance(batch))
        yield equal(
            noise.mean_square_limit(curvatures.mean(), variance, beta),
            measured_limit(curvatures, batch, beta, replacement=True),
        )


@law(1e-9)
def batches_in_several_dimensions(rng: np.random.Generator) -> Iterator[Reading]:
    """E[theta theta^T] grows by the radius of A (x) A + (mean A_i (x) A_i - A (x) A) / B.

    A_i = I - eta H_i of two-dimensional curvatures, against power iteration over all batches.
    """
    for batch in (1, 2, 3):
        root = rng.standard_normal((3, 2, 2))
        maps = noise.gradient_maps(root @ root.mT, rng.uniform(0.1, 0.6))
        operator = noise.mean_square_operator(maps, float(noise.share_of_variance(batch)))
        yield equal(
            noise.mean_square_growth(operator),
            moment_growth(of_batches(maps, batch, replacement=True)),
        )


@law(3e-2)
def batches_of_gaussian_inputs(rng: np.random.Generator) -> Iterator[Reading]:
    """On B Gaussian inputs E|theta|^2 grows by (1 - z)^2 + z^2 (d + 1) / B, z = eta lambda.

    So it is stable below z = 2 / (1 + (d + 1) / B). The mean over 200,000 batches.
    """
    for dimensions, batch in ((1, 1), (2, 4), (6, 2)):
        sharpness, eta = rng.uniform(0.5, 2.0), rng.uniform(0.1, 0.6)
        theta = rng.standard_normal(dimensions)
        x = np.sqrt(sharpness) * rng.standard_normal((200_000, batch, dimensions))
        after = theta - eta * np.einsum("rbd,rb->rd", x, x @ theta) / batch
        yield equal(
            noise.gaussian_growth(eta, sharpness, dimensions, batch),
            np.mean(np.sum(after**2, axis=1)) / (theta @ theta),
        )


@law(5e-2)
def spread_by_noise(rng: np.random.Generator) -> Iterator[Reading]:
    """Noise s^2 keeps up Var theta = eta s^2 (1 + b) / (lambda (1 - b)(2 + 2 b - eta lambda)).

    White noise in the gradient, momentum b. 3,000 runs side by side, over 1,500 updates once they
    are stationary.
    """
    for beta in (0.0, 0.5, 0.9):
        sharpness, spread = rng.uniform(0.5, 2.0), rng.uniform(0.1, 1.0)
        eta = rng.uniform(0.2, 0.7) / sharpness
        theta, m = np.zeros((2, 3000))
        squares = []
        for update in range(1800):
            m = beta * m + sharpness * theta + spread * rng.standard_normal(theta.size)
            theta = theta - eta * m
            if update >= 300:
                squares.append(np.mean(theta**2))
        gain = noise.heavy_ball_gain(eta, sharpness, beta)
        yield equal(noise.stationary_variance(gain, spread**2), np.mean(squares))


@law(1e-9)
def epochs_of_single_samples(rng: np.random.Generator) -> Iterator[Reading]:
    """One sample a batch: an epoch multiplies by prod |1 - eta a_i|, in whatever order.

    In the long run a typical run grows by its geometric mean, below the root of the mean square.
    """
    for _ in range(8):
        curvatures, eta = rng.uniform(0.1, 3.0, 7), rng.uniform(0.1, 1.5)
        theta = 1.0
        for sample in rng.permutation(curvatures.size):
            theta *= 1.0 - eta * curvatures[sample]
        yield equal(noise.typical_growth(eta, curvatures) ** curvatures.size, abs(theta))
