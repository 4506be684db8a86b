"""Optimizer updates on flat arrays, in place."""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.numerics.jit import kernel

__all__ = [
    "accumulate", "accumulate_squares", "combine", "descend", "descend_at_rates",
    "divide_by_root",
]  # fmt: skip


@kernel
def descend(theta: Any, update: Any, eta: Any) -> None:
    """theta <- theta - eta u."""
    for i in range(theta.size):
        theta[i] -= eta * update[i]


@kernel
def descend_at_rates(theta: Any, update: Any, eta: Any, rates: Any) -> None:
    """theta_i <- theta_i - eta e_i u_i."""
    for i in range(theta.size):
        theta[i] -= eta * rates[i] * update[i]


@kernel
def accumulate(average: Any, gradient: Any, keep: Any, take: Any) -> None:
    """m <- keep m + take g."""
    for i in range(average.size):
        average[i] = keep * average[i] + take * gradient[i]


@kernel
def accumulate_squares(average: Any, gradient: Any, keep: Any, take: Any) -> None:
    """v <- keep v + take g^2."""
    for i in range(average.size):
        average[i] = keep * average[i] + take * (gradient[i] * gradient[i])


@kernel
def combine(momentum: Any, gradient: Any, a: Any, b: Any, out: Any) -> None:
    """u <- a m + b g."""
    for i in range(out.size):
        out[i] = a * momentum[i] + b * gradient[i]


@kernel
def divide_by_root(m: Any, v: Any, first: Any, second: Any, eps: Any, out: Any) -> None:
    """u <- first m / (sqrt(second v) + eps), and 0 for 0 / 0."""
    for i in range(out.size):
        root = np.sqrt(second * v[i]) + eps
        out[i] = first * m[i] / root if root != 0.0 else 0.0
