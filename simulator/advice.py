"""Advice before a run: a safe learning rate without warmup, and the shortest warmup.

The safe learning rate is a lower bound, and its distribution was measured. The shortest warmup is
measured by training, because no known formula predicts it: the best one is off by a factor of 32 or
more in a tenth of the networks of the study ``can-warmup-be-predicted``.
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

# The probe measures the sharpness before these updates.
PROBED = (0, 16, 64)
# The largest constant rate that trains, over the safe rate, on a grid of ratio sqrt 2: quantiles
# over 120 networks, by ``can-warmup-be-predicted`` on seeds 0 to 9 of slice 0 and 0 to 4 of slice
# 5.
LARGEST_OVER_SAFE = {0.0: 1.0, 0.1: 2.83, 0.25: 2.83, 0.5: 5.66, 0.75: 8.0, 0.9: 11.3, 1.0: 11.3}


class SafeRate(NamedTuple):
    """The result of `safe_learning_rate`.

    Attributes
    ----------
    eta : float
        2 over the largest sharpness; 0 if the probe diverged.
    sharpness : tuple of float
        Sharpness before updates 0, 16 and 64 of the probe; infinite if it diverged before.
    """

    eta: float
    sharpness: tuple[float, ...]


class ShortestWarmup(NamedTuple):
    """The result of `shortest_warmup`.

    Attributes
    ----------
    t_wrm : float
        The shortest warmup such that it and all longer ones tried train; infinite if the longest
        does not train.
    tried : dict
        Whether the network trained, keyed by t_wrm, in the order of the search.
    updates : int
        Updates that the search cost.
    """

    t_wrm: float
    tried: dict[int, bool]
    updates: int


def safe_learning_rate(
    model: Model, data: Data | None = None, *, seed: int = 0, dtype: str = "float64"
) -> SafeRate:
    """A learning rate for gradient descent that trains without warmup: a lower bound.

    A probe trains for 64 updates at half of 2 / sharpness. The safe rate is 2 / lambda_p, with
    lambda_p the largest sharpness before updates 0, 16 and 64 (with cross-entropy or in muP the
    sharpness may rise in that time). In the 120 networks measured the largest constant rate that
    trains is 1 to 11 times as large, so the safe rate does not estimate it.

    Parameters
    ----------
    model, data : Model, Data
        As in `simulate`.
    seed : int
        Seed of the initial parameters.
    dtype : {"float64", "float32"}
        Floating-point precision.

    Returns
    -------
    SafeRate

    Raises
    ------
    InputError
        If an argument is invalid, or if the sharpness at initialisation is not positive.
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

    The search halves the warmup from ``t_most`` until it does not train, then bisects on a log
    scale. The result varies between seeds, by a factor of up to 128 over five seeds of one network:
    use several seeds.

    Parameters
    ----------
    model, data, optimizer, seed, batch_size, layer_rates, dtype, stop
        As in `simulate`.
    eta_trgt : float
        Target learning rate (absolute).
    steps : int
        Updates of each run. A run trains if `Run.trainable`.
    t_most : int, optional
        The longest warmup to try, at most ``steps``. Default half of ``steps``.
    tolerance : float
        The search ends when the longest warmup that fails is within a factor 1 + tolerance of the
        result, or one update shorter.

    Returns
    -------
    ShortestWarmup

    Raises
    ------
    InputError
        If an argument is invalid.
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
