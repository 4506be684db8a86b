"""Laws of minibatches on quadratics, by enumerating all batches or by many batched runs."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from simulator.data import Data
from simulator.laws.batches import measured_limit, moment_growth, of_batches
from simulator.laws.law import Reading, equal, law, match
from simulator.laws.pictures import noise as pictures
from simulator.models import MLP
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
    """Momentum multiplies noise by (1 + beta) / (1 - beta): its limit falls at small batches.

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
    """E[theta theta^T] grows by the spectral radius of A (x) A + (mean A_i (x) A_i - A (x) A) / B.

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
    """Noise s^2 gives Var theta = eta s^2 (1 + b) / (lambda (1 - b)(2 + 2 b - eta lambda)).

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
    """At batch size 1 an epoch multiplies theta by prod |1 - eta a_i|, in any order.

    In the long run a typical run grows by its geometric mean, below the root of the mean square.
    """
    for _ in range(8):
        curvatures, eta = rng.uniform(0.1, 3.0, 7), rng.uniform(0.1, 1.5)
        theta = 1.0
        for sample in rng.permutation(curvatures.size):
            theta *= 1.0 - eta * curvatures[sample]
        yield equal(noise.typical_growth(eta, curvatures) ** curvatures.size, abs(theta))


@law(1e-9)
def curvature_of_batches(rng: np.random.Generator) -> Iterator[Reading]:
    """E g_B.H_B g_B, E g_B.g_B and E g_B.H g_B follow from the g_i and H_i of single samples.

    Derived here, for batches with and without replacement. Against gradient and Hessian-vector
    product on every batch of six samples, of small tanh networks.
    """
    model = MLP(width=2, depth=2, activation="tanh", bias=True)
    for batch, replacement in ((1, False), (2, False), (3, False), (2, True)):
        data = Data(rng.standard_normal((6, 2)), rng.standard_normal((6, 1)))
        theta = model.init(data, int(rng.integers(2**32)))
        ones = [Data(data.x[i : i + 1], data.y[i : i + 1]) for i in range(6)]
        g = np.array([model.gradient(theta, one) for one in ones])
        h = np.array([model.hessian(theta, one) for one in ones])
        objective, full = model.bind(data), model.hessian(theta, data)
        own, product, measured = np.empty_like(theta), np.empty_like(theta), []
        chosen = itertools.product if replacement else itertools.combinations
        repeat = {"repeat": batch} if replacement else {"r": batch}
        for rows in chosen(range(6), **repeat):
            objective.select(np.array(rows))
            objective.gradient(theta, own)
            objective.hvp(own, product)
            measured.append((own @ product, own @ own, own @ full @ own))
        moments = noise.batch_moments(g, h, batch, replacement)
        yield equal(moments, np.mean(measured, axis=0), scale=np.abs(moments).max())


@law(1e-6)
def interaction_of_stationary_momentum(rng: np.random.Generator) -> Iterator[Reading]:
    """In stationary heavy ball, GNI = 2 (1 - b) / eta + 2 b / (1 + b) E[G.HG] / E[G.G].

    2 / eta for SGD, at every eta. Samples in two dimensions with minima of their own; the second
    moments of (theta, eta m, 1) iterated over all batches until they stand still.
    """
    for beta in (0.0, 0.5, 0.9):
        root, offsets = rng.standard_normal((3, 2, 2)), rng.standard_normal((3, 2))
        h, eye = root @ root.mT + 0.3 * np.eye(2), np.eye(2)
        eta = rng.uniform(0.1, 0.5) * (1.0 - beta) / np.linalg.eigvalsh(h).max()
        # Each sample's gradient, and then its update, from (theta, eta m, 1).
        gradients = np.concatenate([h, 0.0 * h, -offsets[:, :, None]], axis=2)
        kept, moved = np.hstack([0.0 * eye, beta * eye, np.zeros((2, 1))]), np.eye(2, 5)
        m = kept + eta * gradients
        last = np.broadcast_to(np.eye(5)[-1:], (3, 1, 5))
        maps = of_batches(np.concatenate([moved - m, m, last], axis=1), 2, replacement=False)
        moment, before = np.diag(np.eye(5)[-1]), np.zeros((5, 5))
        while np.abs(moment - before).max() > 1e-12 * np.abs(moment).max():
            before, moment = moment, np.mean(maps @ moment @ maps.mT, axis=0)
        of_batch = of_batches(gradients, 2, replacement=False)
        g, full = gradients.mean(axis=0), h.mean(axis=0)
        squared = np.trace(g @ moment @ g.T)
        curvature = np.trace(full @ g @ moment @ g.T) / squared
        interaction = np.mean(np.trace(full @ of_batch @ moment @ of_batch.mT, axis1=1, axis2=2))
        yield equal(noise.gradient_noise_interaction(eta, beta, curvature), interaction / squared)


@law(1e-9)
def batch_sharpness_of_regression(rng: np.random.Generator) -> Iterator[Reading]:
    """In linear regression at batch size 1, batch sharpness is mean |x_i|^2 at every theta.

    So it is the trace of the Hessian, and neither noise nor training changes it. By the quotient
    g.Hg / g.g of every sample.
    """
    for size in (1, 3, 6):
        x, y = rng.standard_normal((8, size)), rng.standard_normal(8)
        theta, quotients = 3.0 * rng.standard_normal(size), []
        for row, target in zip(x, y, strict=True):
            g = (row @ theta - target) * row
            quotients.append(g @ np.outer(row, row) @ g / (g @ g))
        yield equal(noise.regression_batch_sharpness(x), np.mean(quotients))


@law(3e-2)
def batch_sharpness_of_gaussian_inputs(rng: np.random.Generator) -> Iterator[Reading]:
    """On b Gaussian inputs in d dimensions the GNI is l (1 + (d + 1) / b), the mean ratio larger.

    l (b^2 + 3 b (d + 1) + d^2 + 3 d + 4) / (b (b + d + 1)), l the variance of an input. The mean
    over 200,000 batches.
    """
    for dimensions, batch in ((3, 1), (5, 3), (8, 4)):
        variance, theta = rng.uniform(0.5, 2.0), rng.standard_normal(dimensions)
        x = np.sqrt(variance) * rng.standard_normal((200_000, batch, dimensions))
        g = np.einsum("rbd,rb->rd", x, x @ theta) / batch
        curvature = np.mean(np.einsum("rbd,rd->rb", x, g) ** 2)
        squared = np.mean(np.sum(g**2, axis=1))
        measured = (curvature / squared, squared / (variance * theta @ theta))
        yield equal(noise.gaussian_batch_sharpness(variance, dimensions, batch), measured)


@law(0.5, picture=pictures.one_dimension)
def typical_runs_outlive_mean_square(rng: np.random.Generator) -> Iterator[Reading]:
    """At batch size 1 in one dimension, a typical run grows iff mean ln |1 - eta a| > 0.

    That is beyond where E theta^2 does. Whether most of 500 runs of 3,000 updates are larger than
    at first, at 0.95 and at 1.05 of that eta.
    """
    for _ in range(6):
        curvatures = np.exp(rng.normal(0.0, 1.0, 4))
        for factor in (0.95, 1.05):
            eta = factor * noise.typical_limit(curvatures)
            logs = np.log(np.abs(1.0 - eta * curvatures))
            drawn = rng.multinomial(3000, np.full(4, 0.25), size=500)
            yield match(factor > 1.0, np.median(drawn @ logs) > 0.0)
