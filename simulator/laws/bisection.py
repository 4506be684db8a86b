"""Thresholds as they are measured: by iterating an optimizer, and bisecting on whether it grows."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import numpy as np

from simulator.arrays import Array
from simulator.data import Data
from simulator.models import Model
from simulator.optimizers import Adam, Optimizer
from simulator.runs import Run
from simulator.schedules import Warmup
from simulator.training import simulate

__all__ = [
    "bisect", "cycle_repels", "first_update_raises", "held", "late_growth", "leaves",
    "measured_threshold", "threshold_by_bisection",
]  # fmt: skip

_BLOCK = 8
_NEVER_FORGOTTEN = 1.0 - 1e-13
_LATE = 10**16
_TRANSIENT = math.log(1e-10)


def held(optimizer: Optimizer, preconditioner: Array) -> tuple[Optimizer, Array, int]:
    """(optimizer, state, t) of the same rule in its late regime, its P (P,) this one and held.

    t is so large that no bias is left to correct, and the memory of squares so long that v, set to
    (P - eps)^2, is the same at the end of any measurement.
    """
    state = np.zeros((optimizer.vectors, preconditioner.size))
    if not optimizer.adaptive:
        return optimizer, state, 1
    late = dataclasses.replace(optimizer, beta2=_NEVER_FORGOTTEN)  # type: ignore[call-arg]
    state[-1] = (preconditioner - late.options()["eps"]) ** 2
    return late, state, _LATE


def late_growth(
    optimizer: Optimizer,
    hessian: Array,
    eta: float,
    preconditioner: Array,
    rates: Array | float,
    transients: int = 2,
) -> float:
    """ln of the factor by which an update multiplies |theta| once transients are gone.

    By iteration on the gradient H theta; theta and momentum are scaled back together every few
    updates, for they are linear in one another, and v is put back where it was. Averaged over all
    of so many ``transients`` but the first.
    """
    rule, state, t = held(optimizer, preconditioner)
    linear, v = state[: len(state) - rule.adaptive], state[-1:].copy()
    theta, u = np.ones(len(hessian)), np.empty(len(hessian))
    blocks = _transient(optimizer) // _BLOCK + 1
    logs = np.empty(transients * blocks)
    for block in range(logs.size):
        for _ in range(_BLOCK):
            rule.direction(theta, hessian @ theta, state, t, u)
            theta -= eta * rates * u
            t += 1
        size = math.sqrt(np.sum(theta**2) + np.sum(linear**2))
        theta /= size
        linear /= size
        if rule.adaptive:
            state[-1:] = v
        logs[block] = math.log(size)
    return float(np.mean(logs[blocks:])) / _BLOCK


def _transient(optimizer: Optimizer) -> int:
    """Updates after which all but the slowest root, -1 at a threshold, is below 1e-10."""
    options = optimizer.options()
    beta = options.get("beta", options.get("beta1", 0.0))
    return 64 + (math.ceil(_TRANSIENT / math.log(beta)) if beta > 0 else 0)


def threshold_by_bisection(
    grows: Callable[[float], bool], eta: float, accuracy: float = 1e-8
) -> float:
    """The eta above which something grows: doubled from a small one on, then bisected."""
    while not grows(2.0 * eta):
        eta *= 2.0
    return bisect(grows, eta, 2.0 * eta, accuracy)


def bisect(fails: Callable[[float], bool], low: float, high: float, accuracy: float) -> float:
    """The eta from which on something fails, between one that does not and one that does."""
    while high - low > accuracy * high:
        middle = 0.5 * (low + high)
        low, high = (low, middle) if fails(middle) else (middle, high)
    return 0.5 * (low + high)


def first_update_raises(
    model: Model, data: Data | None, optimizer: Optimizer, theta: Array, eta: float
) -> bool:
    """Whether the loss is higher after one simulated update from theta (P,)."""
    run = simulate(
        model, data, optimizer=optimizer, schedule=Warmup(eta_trgt=eta), steps=1, theta0=theta,
        sharpness_every=0,
    )  # fmt: skip
    return run.loss_final > run.loss_init


def leaves(run: Run) -> bool:
    """Whether a run from beside a minimum leaves it: its loss doubles."""
    return run.diverged or bool(run.loss_max > 2.0 * run.loss_init)


def measured_threshold(
    optimizer: Optimizer,
    hessian: Array,
    preconditioner: Array | None = None,
    rates: Array | float = 1.0,
) -> float:
    """The learning rate beyond which the optimizer is unstable on H (P, P); by `late_growth`."""
    p = np.ones(len(hessian)) if preconditioner is None else preconditioner
    start = 0.1 * float(p.min()) / float(np.linalg.norm(hessian))
    return threshold_by_bisection(
        lambda eta: late_growth(optimizer, hessian, eta, p, rates) > 0.0, start
    )


def cycle_repels(beta2: float, beta1: float) -> bool:
    """Whether Adam's update carries a small displacement away from its cycle theta -> -theta.

    On the curvature 1 at eta = 1, eps = 0, so late that no bias is left to correct.
    """
    rule = Adam(beta1, beta2, eps=0.0)
    a = 0.5 * (1.0 - beta1) / (1.0 + beta1)
    theta, u = np.array([a * (1.0 + 1e-7)]), np.empty(1)
    # What the gradients of the cycle have left: of alternating sign in m, of one in v.
    state = np.array([[-2.0 * a * a], [a * a]])
    away = np.empty(800)
    for update in range(away.size):
        rule.direction(theta, theta.copy(), state, _LATE, u)
        theta -= u
        away[update] = abs(abs(theta[0]) - a)
    return bool(away[-100:].max() > away[:20].max())
