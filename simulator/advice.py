"""Advice before a run: a learning rate that is safe without warmup, and the shortest warmup.

The first is a lower bound whose distribution was measured, the second a measurement. No formula
predicts the length of a warmup: the best one known is off by a factor of 32 or more in a tenth
of the networks of the study ``can-warmup-be-predicted``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from simulator.catapult_search import TOLERANCE
from simulator.checks import InputError, count, positive
from simulator.data import Data, as_data
from simulator.experiment import Experiment
from simulator.models import Model, as_model
from simulator.optimizers import GD, Optimizer
from simulator.schedules import Warmup
from simulator.training import eta_critical, train

__all__ = [
    "LARGEST_OVER_SAFE", "PROBED", "SafeRate", "ShortestWarmup", "safe_learning_rate",
    "shortest_warmup",
]  # fmt: skip

# Updates before which the probe measures the sharpness.
PROBED = (0, 16, 64)
# The largest constant rate that trains over the safe one, on a grid of ratio sqrt 2: quantiles over
# 120 networks, by ``can-warmup-be-predicted`` on seeds 0 to 9 of slice 0 and 0 to 4 of slice 5.
LARGEST_OVER_SAFE = {0.0: 1.0, 0.1: 2.83, 0.25: 2.83, 0.5: 5.66, 0.75: 8.0, 0.9: 11.3, 1.0: 11.3}


class SafeRate(NamedTuple):
    """What `safe_learning_rate` found.

    Attributes
    ----------
    eta : float
        2 over the largest of the sharpnesses; 0 where the probe diverged.
    sharpness : tuple of float
        Before the updates 0, 16 and 64 of the probe; infinite where it diverged before.
    """

    eta: float
    sharpness: tuple[float, ...]


class ShortestWarmup(NamedTuple):
    """What `shortest_warmup` found.

    Attributes
    ----------
    t_wrm : float
        The shortest warmup above which every one that was tried trains; infinite where the longest
        one does not train.
    tried : dict
        Whether the network trained, by t_wrm, in the order of the search.
    updates : int
        What that cost.
    """

    t_wrm: float
    tried: dict[int, bool]
    updates: int


def safe_learning_rate(
    model: Model, data: Data | None = None, *, seed: int = 0, dtype: str = "float64"
) -> SafeRate:
    """A learning rate for gradient descent that trains without warmup: a lower bound.

    A probe trains for 64 updates at half of 2 / sharpness. The rate is 2 / lambda_p, with lambda_p
    the largest sharpness before updates 0, 16 and 64: with cross-entropy and in muP the sharpness
    may rise by then. In the 120 networks measured the largest constant rate that trains was 1 to 11
    times as large: the safe rate is no estimate of it.

    Parameters
    ----------
    model, data : Model, Data
        As in `simulate`.
    seed : int
        Chooses the initial parameters.
    dtype : {"float64", "float32"}
        Precision of everything.

    Returns
    -------
    SafeRate

    Raises
    ------
    InputError
        For input that cannot be used, and for a sharpness at initialisation that is not positive.
    """
    model, data, last = as_model(model), as_data(data), PROBED[-1]
    unit = eta_critical(model, data, GD(), seed, dtype)
    if not math.isfinite(unit):
        raise InputError("model", model.name, "its sharpness at initialisation is not positive")
    probe = Experiment(
        model=model, schedule=Warmup(eta_trgt=0.5 * unit), steps=last, sharpness_every=16,
        sharpness_tol=1e-3, dtype=dtype,
    )  # fmt: skip
    run = train(probe, data, seed)
    measured = np.append(run.sharpness, run.sharpness_final)[list(PROBED)]
    sharpness = tuple(float(one) if math.isfinite(one) else math.inf for one in measured)
    return SafeRate(2.0 / max(sharpness), sharpness)


def shortest_warmup(
    model: Model,
    data: Data | None = None,
    *,
    eta_trgt: float,
    optimizer: Optimizer | None = None,
    seed: int = 0,
    steps: int = 512,
    t_most: int | None = None,
    tolerance: float = TOLERANCE,
    batch_size: int | None = None,
    layer_rates: bool = False,
    dtype: str = "float64",
    stop: Callable[[], bool] | None = None,
) -> ShortestWarmup:
    """Measure the shortest linear warmup from 0 to eta_trgt that trains.

    Halves the warmup from ``t_most`` until one does not train, then bisects in its logarithm.
    Seeds differ, by a factor of up to 128 among five seeds of one network: ask several.

    Parameters
    ----------
    model, data, optimizer, seed, batch_size, layer_rates, dtype, stop
        As in `simulate`.
    eta_trgt : float
        Absolute.
    steps : int
        Updates of each run. It trains if `Run.trainable`.
    t_most : int, optional
        The longest warmup to try, at most ``steps``. Default half of ``steps``.
    tolerance : float
        The search ends where the next shorter warmup is longer than 1 / (1 + tolerance) of it, or
        one update shorter.

    Returns
    -------
    ShortestWarmup

    Raises
    ------
    InputError
        For input that cannot be used.
    """
    t_most = max(1, count("steps", steps, 1) // 2) if t_most is None else count("t_most", t_most, 1)
    if t_most > steps:
        raise InputError("t_most", t_most, f"longer than the {steps} steps; give more steps")
    positive("tolerance", tolerance)
    plain = Experiment(
        model=model, optimizer=optimizer or GD(), schedule=Warmup(eta_trgt=eta_trgt), steps=steps,
        batch_size=batch_size, layer_rates=layer_rates, sharpness_every=0, dtype=dtype,
    )  # fmt: skip
    data, tried = as_data(data), dict[int, bool]()

    def trains(t_wrm: int) -> bool:
        run = train(replace(plain, schedule=Warmup(0.0, eta_trgt, t_wrm)), data, seed, stop=stop)
        tried[t_wrm] = run.trainable
        return run.trainable

    lower, upper = t_most, math.inf
    while lower and trains(lower):
        lower, upper = lower // 2, lower
    while upper > max(lower + 1, (1.0 + tolerance) * lower) and math.isfinite(upper):
        middle = min(max(round(math.sqrt(lower * upper)), lower + 1), int(upper) - 1)
        lower, upper = (lower, middle) if trains(middle) else (middle, upper)
    return ShortestWarmup(upper, tried, len(tried) * steps)
