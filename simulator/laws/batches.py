"""Measure the second moment over all minibatches, one after the other."""

from __future__ import annotations

import itertools

import numpy as np

from simulator.arrays import Array
from simulator.laws.bisection import threshold_by_bisection

__all__ = ["measured_limit", "moment_growth", "of_batches"]


def moment_growth(maps: Array) -> float:
    """Factor by which E[x x^T] grows in an update; each batch's map (batches, s, s) is as likely.

    By power iteration; over many updates, for a moment that turns round grows by fits and starts.
    """
    moment, factors = np.eye(maps.shape[-1]), np.empty(500)
    for update in range(factors.size):
        moment = np.mean(maps @ moment @ maps.mT, axis=0)
        factors[update] = np.trace(moment)
        moment /= factors[update]
    return float(np.exp(np.mean(np.log(factors[-100:]))))


def of_batches(of_one: Array, batch: int, *, replacement: bool) -> Array:
    """The mean map (batches, s, s) of every batch, each as likely as any other."""
    samples = range(len(of_one))
    chosen = (
        itertools.product(samples, repeat=batch)
        if replacement
        else itertools.combinations(samples, batch)
    )
    return np.array([of_one[list(rows)].mean(axis=0) for rows in chosen])


def _heavy_ball(curvatures: Array, eta: float, beta: float) -> Array:
    """One update of (theta, eta m) on each sample: m' = beta m + g, theta' = theta - eta m'."""
    z = eta * curvatures
    rows = [[1.0 - z, np.full_like(z, -beta)], [z, np.full_like(z, beta)]]
    return np.moveaxis(np.array(rows), -1, 0)


def measured_limit(
    curvatures: Array, batch: int, beta: float, *, replacement: bool, accuracy: float = 1e-7
) -> float:
    """The eta beyond which E theta^2 grows under heavy ball, from curvatures (N,); by bisection."""

    def grows(eta: float) -> bool:
        maps = of_batches(_heavy_ball(curvatures, eta, beta), batch, replacement=replacement)
        return moment_growth(maps) > 1.0

    return threshold_by_bisection(grows, 0.01 / float(curvatures.max()), accuracy)
