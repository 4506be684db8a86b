"""Batch sharpness: the curvature of batch losses along their own gradients.

With g_B and H_B the gradient and the Hessian of the loss on a batch B, it is the mean over batches
of g_B.H_B g_B / g_B.g_B, the directional sharpness of an SGD step. Andreyev & Beneventano 2024,
arXiv:2412.20553.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from simulator.arrays import Array
from simulator.blas import one_blas_thread
from simulator.checks import InputError, at_least, check_batch_size
from simulator.curvature.of_the_step import quotient, slope_and_bend
from simulator.data import Data, as_data
from simulator.models import Model, Objective, as_model
from simulator.models.base import checked_vector
from simulator.seeding import generator

__all__ = ["Rows", "all_batches", "batch_sharpness", "drawn_batches", "gradients", "mean_and_error"]

# The samples of a batch, for `Objective.select`.
Rows = NDArray[np.intp]

_MOST_BATCHES = 100_000


def all_batches(samples: int, size: int) -> Iterator[Rows]:
    """Every set of ``size`` samples."""
    return map(np.array, itertools.combinations(range(samples), size))


def drawn_batches(samples: int, size: int, rng: np.random.Generator) -> Iterator[Rows]:
    """An endless iterator over random batches, each drawn without replacement."""
    while True:
        yield rng.choice(samples, size, replace=False, shuffle=False)


def gradients(
    objective: Objective, theta: Array, batches: Iterable[Rows | None], out: Array
) -> Iterator[float]:
    """Yield the loss on each batch at theta (P,), with its gradient in ``out`` (P,)."""
    for rows in batches:
        objective.select(rows)
        yield objective.gradient(theta, out)


def batch_sharpness(
    model: Model,
    theta: Array,
    data: Data,
    batch_size: int,
    batches: int | None = None,
    *,
    seed: int = 0,
) -> float:
    """Mean over batches B of g_B.H_B g_B / g_B.g_B.

    Parameters
    ----------
    model : Model
    theta : array, shape (P,)
        Parameters.
    data : Data
        Data from which batches are drawn without replacement.
    batch_size : int
        Samples in a batch.
    batches : int, optional
        Number of random batches. Default: every batch once, which is exact.
    seed : int
        Seed of the random batches.

    Returns
    -------
    float
        The mean over batches with a nonzero gradient; NaN without any.

    Raises
    ------
    InputError
        If theta has another shape, the model has no samples, the batch size exceeds the number of
        samples, or there are more than 10^5 batches and ``batches`` is not given.

    Notes
    -----
    Andreyev & Beneventano 2024, arXiv:2412.20553.
    """
    objective = as_model(model).bind(as_data(data))
    theta = checked_vector("theta", theta, objective)
    samples = objective.samples
    check_batch_size(batch_size, samples)
    if batches is None:
        if math.comb(samples, batch_size) > _MOST_BATCHES:
            raise InputError(
                "batch_size", batch_size,
                f"{samples} samples make more than {_MOST_BATCHES} batches; give batches=32",
            )  # fmt: skip
        chosen = all_batches(samples, batch_size)
    else:
        drawn = drawn_batches(samples, batch_size, generator(seed, "measured"))
        chosen = itertools.islice(drawn, at_least("batches", batches, 1))
    gradient = np.empty_like(theta)
    with one_blas_thread():
        ratios = [
            quotient(*slope_and_bend(objective, gradient, gradient))
            for _ in gradients(objective, theta, chosen, gradient)
        ]
    return mean_and_error(ratios)[0]


def mean_and_error(values: list[float]) -> tuple[float, float]:
    """Mean and standard error of the values that are not NaN; NaN if there are too few."""
    numbers = np.array(values)[~np.isnan(values)]
    if not numbers.size:
        return math.nan, math.nan
    error = numbers.std(ddof=1) / math.sqrt(numbers.size) if numbers.size > 1 else math.nan
    return float(numbers.mean()), float(error)
