"""One example with noisy labels: what warmup is measured on.

A noise-free residual decays until it is exactly 0, and then nothing diverges at any eta: "finite"
would not mean stable. Here each update sees one of many copies of the example, each with noise of
its own in the label. And a run is judged by the exact criterion at its last state.
"""

from __future__ import annotations

import numpy as np

from simulator.arrays import Array
from simulator.data import Data
from simulator.laws.one_example import Example
from simulator.models import UV
from simulator.runs import Run
from simulator.schedules import Warmup
from simulator.theory import uv, warmup
from simulator.training import simulate

__all__ = ["example", "flowed_trace", "noise_of", "survived", "train"]

_COPIES = 128


def example(width: int, s: float, y: float) -> Example:
    """The UV model on x = 1 with target y."""
    return Example(UV(width, s), Data(np.ones((1, 1)), np.array([[y]])))


def flowed_trace(one: Example, theta: Array) -> float:
    """The sharpness at which a slow warmup first meets the edge."""
    return float(uv.flow_limit(*one.setting(theta)))


def noise_of(one: Example, lam: float, floor: float) -> float:
    """The label noise that keeps |eta kappa delta| at this floor, at eta = 2 / lam."""
    return floor / float(warmup.residual_floor(1.0, lam, one.kappa))


def train(
    one: Example,
    theta: Array,
    schedule: Warmup,
    steps: int,
    sigma: float,
    rng: np.random.Generator,
    sharpness_every: int = 0,
) -> Run:
    """Simulate from these weights with label noise of size sigma."""
    noise = sigma * rng.standard_normal((_COPIES, 1))
    data = Data(np.repeat(one.data.x, _COPIES, axis=0), one.data.y + noise)
    return simulate(
        one.model,
        data,
        schedule=schedule,
        steps=steps,
        seed=int(rng.integers(2**32)),
        theta0=theta,
        batch_size=1,
        sharpness_every=sharpness_every,
    )


def survived(one: Example, run: Run) -> bool:
    """Whether the run stays bounded at its last eta."""
    if run.diverged:
        return False
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(uv.is_bounded(*one.setting(run.theta), run.eta[-1]))
