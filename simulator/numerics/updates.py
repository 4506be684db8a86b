"""Optimizer updates on flat arrays, in place."""

from __future__ import annotations

from typing import Any

from simulator.numerics.jit import kernel

__all__ = ["gd", "heavy_ball"]


@kernel
def gd(theta: Any, gradient: Any, eta: Any) -> None:
    """Theta <- theta - eta g."""
    for i in range(theta.size):
        theta[i] -= eta * gradient[i]


@kernel
def heavy_ball(theta: Any, gradient: Any, velocity: Any, eta: Any, beta: Any) -> None:
    """M <- beta m + g; theta <- theta - eta m."""
    for i in range(theta.size):
        velocity[i] = beta * velocity[i] + gradient[i]
        theta[i] -= eta * velocity[i]
