"""Batch sharpness: the curvature that small batches see along their own gradients.

With g_B and H_B gradient and Hessian of the loss on a batch B: the mean over batches of
g_B.H_B g_B / g_B.g_B, that is of the directional sharpness of a step of SGD. Andreyev & Beneventano
2024, arXiv:2412.20553.
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

# The samples of a batch, as `Objective.select` takes them.
Rows = NDArray[np.intp]

_MOST_BATCHES = 100_000


def all_batches(samples: int, size: int) -> Iterator[Rows]:
    """Every set of ``size`` samples."""
    return map(np.array, itertools.combinations(range(samples), size))


def drawn_batches(samples: int, size: int, rng: np.random.Generator) -> Iterator[Rows]:
    """Random batches without end, each drawn without replacement."""
    while True:
        yield rng.choice(samples, size, replace=False, shuffle=False)


def gradients(
    objective: Objective, theta: Array, batches: Iterable[Rows | None], out: Array
) -> Iterator[float]:
    """Stand at theta (P,) on each batch in turn, its gradient in ``out`` (P,); gives its loss."""
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
        Where.
    data : Data
        What the batches are drawn from, without replacement.
    batch_size : int
        Samples in a batch.
    batches : int, optional
        Random batches to average over. Default: every batch once, which is exact.
    seed : int
        Chooses the random batches.

    Returns
    -------
    float
        Batches whose gradient is 0 are left out; NaN where all are.

    Raises
    ------
    InputError
        For a theta of another shape, a model without samples, a batch size that there are too few
        samples for, and where there are more than 10^5 batches and ``batches`` is not given.

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
    """Mean of the numbers among them, and its standard error; NaN where there are too few."""
    numbers = np.array(values)[~np.isnan(values)]
    if not numbers.size:
        return math.nan, math.nan
    error = numbers.std(ddof=1) / math.sqrt(numbers.size) if numbers.size > 1 else math.nan
    return float(numbers.mean()), float(error)
