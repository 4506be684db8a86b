"""Third derivatives of a loss in pairs of directions, from gradients."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from simulator.arrays import Array
from simulator.flows.complementarity import pairs_of
from simulator.models import Model

__all__ = ["has_kinks", "third_derivatives"]


def has_kinks(model: Model) -> bool:
    """Whether the gradient has kinks, as with ReLU; differences must then reach over them.

    It is unknown, and False, for user-defined models.
    """
    return bool(model.options().get("activation") == "relu")


def third_derivatives(
    gradient: Callable[[Array], Array], theta: Array, here: Array, frame: Array, difference: float
) -> Array:
    """D_s = d/dtheta <H, E_s> in the frame: T[u_i, u_i], and sqrt(2) T[u_i, u_j] for i < j.

    T[u, v] is the gradient of u' H v with u and v fixed. The second difference of the gradient,
    s(d) = (g(theta + e d) + g(theta - e d) - 2 g(theta)) / e^2, is T[d, d] up to O(e^2), and
    T[u, v] = (s(u + v) - s(u) - s(v)) / 2: k (k + 1) gradients for k directions.

    Parameters
    ----------
    gradient : callable
        The gradient (P,) at a theta (P,).
    theta, here : arrays, shape (P,)
        Theta, and the gradient there.
    frame : array, shape (k, P)
        The directions u_i, of any length.
    difference : float
        e, of a unit vector.

    Returns
    -------
    array, shape (k (k + 1) / 2, P)
        In the order of `pairs_of`.
    """

    def second(direction: Array) -> Array:
        length = np.linalg.norm(direction)
        if not length > 0.0:
            return np.zeros_like(theta)
        e = difference * (direction / length)
        return (gradient(theta + e) + gradient(theta - e) - 2.0 * here) * (length / difference) ** 2

    k = len(frame)
    alone = [second(u) for u in frame]
    return np.array(
        [
            alone[i]
            if i == j
            else np.sqrt(0.5) * (second(frame[i] + frame[j]) - alone[i] - alone[j])
            for i, j in pairs_of(k)
        ]
    ).reshape(-1, theta.size)
