"""Minibatches on quadratics: mean-square stability, and the spread of the parameters by noise.

Each sample i has its own quadratic with curvature H_i (d, d) and the same minimum, as in an
interpolating model. A batch of B samples has the mean curvature of its samples, so its update is
linear, and E[theta theta^T] obeys a linear recurrence whose matrix is known exactly (for one update
of SGD: Ma, Bassily & Belkin 1712.06559; Wu et al. 2018, "How SGD selects the global minima"). The
mean is stable where gradient descent is; the mean square needs more.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from simulator.arrays import Array, Real
from simulator.theory.batch_sharpness import (
    BatchMoments,
    GaussianSharpness,
    batch_moments,
    gaussian_batch_sharpness,
    gradient_noise_interaction,
    regression_batch_sharpness,
)
from simulator.theory.domain import domain

__all__ = [
    "BatchMoments", "GaussianSharpness", "batch_moments", "gaussian_batch_sharpness",
    "gaussian_curvature_variance", "gaussian_growth", "gradient_maps",
    "gradient_noise_interaction", "heavy_ball_gain", "heavy_ball_maps", "mean_square_growth",
    "mean_square_limit", "mean_square_operator", "nesterov_gain", "nesterov_maps",
    "regression_batch_sharpness", "share_of_variance", "stationary_variance", "typical_growth",
    "typical_limit",
]  # fmt: skip

ETA, SHARPNESS, BETA = "0 <= eta", "0 <= sharpness", "0 <= beta < 1"
CURVATURES = ("-1e40 <= curvatures(N, d, d) <= 1e40", "0 <= eta <= 1e40")
POSITIVE = "0 <= result <= inf"


@domain("1 <= batch", "batch <= samples <= inf", gives="0 <= result <= 1")
def share_of_variance(batch: Real, samples: Real = np.inf) -> Array:
    """Variance of the mean of a batch over that of one sample: 1 / B, drawn with replacement.

    Drawn without, (1 / B) (N - B) / (N - 1) with N = ``samples``: 0 for the full batch.
    """
    left = np.where(np.isinf(samples), 1.0, (samples - batch) / (samples - 1.0))
    return np.where(samples <= batch, 0.0, left) / batch


@domain(*CURVATURES)
def gradient_maps(curvatures: Array, eta: float) -> Array:
    """I - eta H_i (N, d, d), the update of theta on each sample alone, from H (N, d, d)."""
    return np.eye(curvatures.shape[-1]) - eta * curvatures


@domain(*CURVATURES, BETA)
def heavy_ball_maps(curvatures: Array, eta: float, beta: float) -> Array:
    """[[(1 + beta) I - eta H_i, -beta I], [I, 0]] (N, 2d, 2d) on (theta_t, theta_{t-1}).

    From H (N, d, d); m' = beta m + g, theta' = theta - eta m'.
    """
    identity = np.eye(curvatures.shape[-1])
    return _companions((1.0 + beta) * identity - eta * curvatures, -beta * identity)


@domain(*CURVATURES, BETA)
def nesterov_maps(curvatures: Array, eta: float, beta: float) -> Array:
    """One update of Nesterov's method (N, 2d, 2d) on (theta, eta m), from H (N, d, d).

    [[I - (1 + beta) eta H_i, -beta^2 I], [eta H_i, beta I]]: m' = beta m + g,
    theta' = theta - eta (g + beta m'). On (theta_t, theta_{t-1}) it would need the last batch.
    """
    z, identity = eta * curvatures, np.eye(curvatures.shape[-1])
    diagonal = np.broadcast_to(identity, z.shape)
    upper = np.concatenate([identity - (1.0 + beta) * z, -(beta**2) * diagonal], axis=-1)
    return np.concatenate([upper, np.concatenate([z, beta * diagonal], axis=-1)], axis=-2)


def _companions(first: Array, second: Array) -> Array:
    """Stack [[first, second], [I, 0]] (N, 2d, 2d) from (N, d, d) and (d, d)."""
    identity = np.broadcast_to(np.eye(first.shape[-1]), first.shape)
    upper = np.concatenate([first, np.broadcast_to(second, first.shape)], axis=-1)
    return np.concatenate([upper, np.concatenate([identity, 0.0 * identity], axis=-1)], axis=-2)


@domain("-1e40 <= maps(N, s, s) <= 1e40", "0 <= share <= 1")
def mean_square_operator(maps: Array, share: float) -> Array:
    """Matrix (s^2, s^2) of E[x x^T] under one minibatch update, from each sample's map (N, s, s).

    A (x) A + share (mean of A_i (x) A_i - A (x) A), A the mean map, ``share`` of
    `share_of_variance`: a batch's map is the mean of its samples' maps, and E of a product of two
    such means has the variance of one sample times that share (derived here).
    """
    mean = maps.mean(axis=0)
    squares = np.mean([np.kron(sample, sample) for sample in maps], axis=0)
    product = np.kron(mean, mean)
    return product + share * (squares - product)


@domain("-1e100 <= operator(q, q) <= 1e100", gives=POSITIVE)
def mean_square_growth(operator: Array) -> float:
    """Factor by which one update multiplies E|x|^2 in the long run; stable in mean square iff < 1.

    The spectral radius of a `mean_square_operator`.
    """
    return float(np.abs(np.linalg.eigvals(operator)).max())


@domain(ETA, SHARPNESS, BETA, gives=POSITIVE)
def heavy_ball_gain(eta: Real, sharpness: Real, beta: Real = 0.0) -> Array:
    """Variance of theta for each unit of variance of white gradient noise, under heavy ball.

    eta (1 + beta) / (lambda (1 - beta)(2 (1 + beta) - eta lambda)) up to the limit
    eta lambda = 2 (1 + beta), and inf from there on and at lambda = 0: the variance of the AR(2)
    process theta_{t+1} = (1 + beta - z) theta_t - beta theta_{t-1} - eta xi_t; at beta = 0
    eta / (lambda (2 - z)) (Mandt et al. 1704.04289 for small eta; derived here for any). A moving
    average has it at (1 - beta) eta.
    """
    room = 2.0 * (1.0 + beta) - eta * sharpness
    gain = eta / sharpness * (1.0 + beta) / ((1.0 - beta) * room)
    return _settled(gain, eta, (sharpness > 0.0) & (room > 0.0))


@domain(ETA, SHARPNESS, BETA, gives=POSITIVE)
def nesterov_gain(eta: Real, sharpness: Real, beta: Real) -> Array:
    """Variance of theta for each unit of variance of white gradient noise, under Nesterov's method.

    eta^2 ((1 + 2 b + 2 b^2)(1 + b u) - 2 b (1 + b)^2 u) / (z (1 - b u)(1 + (1 + 2 b) u)) with
    u = 1 - z: the variance of the ARMA(2, 1) process theta_{t+1} = (1 + b) u theta_t -
    b u theta_{t-1} - eta ((1 + b) xi_t - b xi_{t-1}) (derived here). inf from the limit
    z = (2 + 2 b) / (1 + 2 b) on, where the last factor vanishes, and at z = 0.
    """
    u = 1.0 - eta * sharpness
    top = (1.0 + 2.0 * beta + 2.0 * beta**2) * (1.0 + beta * u) - 2.0 * beta * (1.0 + beta) ** 2 * u
    room = 1.0 + (1.0 + 2.0 * beta) * u
    gain = eta / sharpness * top / ((1.0 - beta * u) * room)
    return _settled(gain, eta, (sharpness > 0.0) & (room > 0.0))


def _settled(gain: Real, eta: Real, stable: Any) -> Array:
    """The gain if training is stable, else inf; 0 at eta = 0, where nothing moves."""
    return np.where(eta == 0.0, 0.0, np.where(stable, gain, np.inf))


@domain("0 <= gain <= inf", "0 <= noise", "0 <= curvature_variance", gives=POSITIVE)
def stationary_variance(gain: Real, noise: Real, curvature_variance: Real = 0.0) -> Array:
    """Stationary variance of theta: gain s^2 / (1 - gain v); inf where it grows without bound.

    ``noise`` s^2 is the variance of the gradient at the minimum, ``curvature_variance`` v that of a
    batch's curvature, uncorrelated with it. The gradient noise at theta has variance
    s^2 + v theta^2, and gain v = 1 is where mean-square stability ends (derived here).
    """
    loop = gain * curvature_variance
    stable = np.isfinite(gain) & (loop < 1.0)
    return np.where(stable, gain * noise / (1.0 - loop), np.inf)


@domain(SHARPNESS, "0 <= variance", BETA, gives=POSITIVE)
def mean_square_limit(sharpness: Real, variance: Real, beta: Real = 0.0) -> Array:
    """Largest eta at which E theta^2 does not grow, heavy ball in one dimension.

    2 (1 + beta)(1 - beta) lambda / ((1 - beta) lambda^2 + (1 + beta) v), v = ``variance`` that of
    the curvature of a batch: where `heavy_ball_gain` times v is 1. 2 lambda / (lambda^2 + v) for
    SGD; Momentum multiplies v by (1 + beta) / (1 - beta), so its advantage is lost for small
    batches; inf where both are 0 (derived here).
    """
    room = (1.0 - beta) * sharpness + (1.0 + beta) * variance / sharpness
    limit = 2.0 * (1.0 + beta) * (1.0 - beta) / room
    return np.where((sharpness == 0.0) & (variance == 0.0), np.inf, limit)


@domain(SHARPNESS, "1 <= dimensions", gives=POSITIVE)
def gaussian_curvature_variance(sharpness: Real, dimensions: Real) -> Any:
    """The v of one sample whose input x (d,) is Gaussian of variance lambda: (d + 1) lambda^2.

    H = x x^T has E H = lambda I and E (H - lambda I)^2 = (d + 1) lambda^2 I, so E|theta|^2 obeys
    the one-dimensional recurrence with this v / B (derived here: E (x x^T)^2 is
    (d + 2) lambda^2 I).
    """
    return (dimensions + 1.0) * sharpness**2


@domain(ETA, SHARPNESS, "1 <= dimensions", "1 <= batch", gives=POSITIVE)
def gaussian_growth(eta: Real, sharpness: Real, dimensions: Real, batch: Real) -> Any:
    """E|theta'|^2 / |theta|^2 of SGD on B fresh Gaussian inputs: (1 - z)^2 + z^2 (d + 1) / B.

    z = eta lambda, lambda the variance of an input's entries; below 1 iff z < 2 / (1 + (d + 1)/B).
    """
    z = eta * sharpness
    return (1.0 - z) ** 2 + z**2 * (dimensions + 1.0) / batch


@domain("0 <= eta <= 1e150", "-1e150 <= curvatures(N) <= 1e150", gives=POSITIVE)
def typical_growth(eta: Real, curvatures: Array) -> Array:
    """Growth of |theta| a step in a typical run at B = 1: the geometric mean of |1 - eta a_i|.

    In one dimension, from curvatures a (N,). With replacement it is the long-run growth of almost
    every run, at most the root of the mean square. A shuffled epoch grows by its N-th power
    exactly, in any order, because the factors commute (derived here).
    """
    factors = np.abs(1.0 - np.multiply.outer(eta, curvatures))
    return np.exp(np.mean(np.log(factors), axis=-1))


@domain("1e-150 <= curvatures(N) <= 1e150", gives="0 < result <= inf")
def typical_limit(curvatures: Array) -> float:
    """Smallest eta above 0 at which `typical_growth` is 1, and a typical run starts to grow.

    From curvatures a (N,), where mean ln |1 - eta a_i| = 0. Between two neighbouring 1 / a_i that
    mean is concave in eta and starts and ends at -inf, and beyond the last one it rises. So in each
    stretch its maximum, and the crossing before it, are found by bisection (derived here). For
    larger batches give the mean curvature of each batch that can be drawn.
    """

    def grows(eta: float) -> bool:
        return bool(np.mean(np.log(np.abs(1.0 - eta * curvatures))) >= 0.0)

    def past_maximum(eta: float) -> bool:
        return bool(np.sum(curvatures / (1.0 - eta * curvatures)) >= 0.0)

    ends = np.unique(1.0 / curvatures)
    for low, high in itertools.pairwise(ends):
        top = _bisect(past_maximum, low, high)
        if grows(top):
            return _bisect(grows, low, top)
    return _bisect(grows, ends[-1], 2.0 * ends[-1])


def _bisect(after: Callable[[float], bool], low: float, high: float) -> float:
    """The point between two positive numbers from which a condition holds."""
    while low < (middle := float(np.sqrt(low) * np.sqrt(high))) < high:
        low, high = (low, middle) if after(middle) else (middle, high)
    return high
