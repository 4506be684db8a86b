"""The curvature along one update: directional sharpness, and the search for critical sharpness.

Let u be the update (theta moves by -eta u), and g and H the gradient and the Hessian of the loss of
its batch. The directional sharpness is u.Hu / u.g. To second order the update raises the loss if it
exceeds 2 / eta, for every optimizer. The critical sharpness is 2 / eta_c, with eta_c the smallest
learning rate at which the update raises the loss: it needs no Hessian, and equals the directional
sharpness on a quadratic. Kalra et al. 2026, arXiv:2601.16979.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol

import numpy as np

from simulator.arrays import Array
from simulator.blas import one_blas_thread
from simulator.catapult_search import Bracket, near_search
from simulator.data import Data, as_data
from simulator.models import Model, Objective, as_model
from simulator.models.base import checked_vector

__all__ = [
    "CriticalSearch", "Line", "bend", "critical_bracket", "directional_sharpness", "quotient",
    "sharpness_at", "slope_and_bend",
]  # fmt: skip


def bend(objective: Objective, update: Array) -> float:
    """u.Hu of an update u (P,) where the objective stands: one Hessian-vector product.

    The objective's last ``gradient`` set theta.
    """
    product = np.empty_like(update)
    objective.hvp(update, product)
    return float(update @ product)


def slope_and_bend(objective: Objective, gradient: Array, update: Array) -> tuple[float, float]:
    """u.g and u.Hu of a gradient g (P,) and an update u (P,): one Hessian-vector product."""
    return float(gradient @ update), bend(objective, update)


def quotient(slope: float, bend: float) -> float:
    """Bend over slope; NaN where the slope is 0."""
    return bend / slope if slope else math.nan


def critical_bracket(
    loss_after: Callable[[float], float], loss: float, guess: float, **options: float
) -> Bracket:
    """The bracket of the learning rate at which the loss after an update first exceeds ``loss``."""
    return near_search(lambda eta: not loss_after(eta) <= loss, guess, **options)


def sharpness_at(bracket: Bracket) -> float:
    """2 / eta_c, with eta_c in the middle of this bracket; 0 if the bracket has no upper end."""
    lower, upper = bracket
    if not bracket.found:
        return 0.0
    return 2.0 / (math.sqrt(lower) * math.sqrt(upper) if lower > 0 else upper)


class Line(Protocol):
    """The line theta - eta u along one update, and the loss of its batch."""

    def slope(self) -> float:
        """u.g."""

    def length_squared(self) -> float:
        """u.u."""

    def bend(self) -> float:
        """u.Hu: one Hessian-vector product."""

    def loss_after(self, eta: float) -> float:
        """The loss after the update at eta: one forward pass. Infinite if it is not finite."""


class CriticalSearch:
    """The critical sharpness of successive updates; each search starts near the last result."""

    # See `simulator.training.checkpoints`.
    MEMORY = ("_factors",)

    def __init__(self) -> None:
        # eta_c over its expected value at the last search, with and without u.Hu.
        self._factors = np.full(2, np.nan)

    def sharpness(self, line: Line, loss: float, eta: float, bend: float = math.nan) -> float:
        """2 / eta_c; infinite if the update is uphill, NaN if the slope is 0.

        The search starts at 2 u.g / u.Hu, times the ratio of eta_c to this at the last search.
        Without ``bend`` (u.Hu), |u|^2 replaces it.
        """
        slope = line.slope()
        if not slope > 0:
            return math.inf if slope < 0 else math.nan
        measured = bend > 0
        expected = 2.0 * slope / (bend if measured else line.length_squared())
        factor = self._factors[int(measured)]
        guess = expected * (1.0 if measured and math.isnan(factor) else factor)
        if math.isnan(guess):
            bend = line.bend()
            guess = 2.0 * slope / bend if bend > 0 else math.nan
        if not 0 < guess < math.inf:
            guess = eta if eta > 0 else 1.0
        sharpness = sharpness_at(critical_bracket(line.loss_after, loss, guess))
        # After a search without result, the next one starts anew.
        self._factors[int(measured)] = 2.0 / sharpness / expected if sharpness else math.nan
        return sharpness


def directional_sharpness(
    model: Model, theta: Array, data: Data | None = None, update: Array | None = None
) -> float:
    """Curvature of the loss along an update u, per unit of slope: u.Hu / u.g.

    To second order the loss changes by -eta u.g (1 - eta lambda / 2), with lambda the directional
    sharpness. If u.g is positive, the update raises the loss if lambda exceeds 2 / eta.

    Parameters
    ----------
    model : Model
    theta : array, shape (P,)
        Parameters.
    data : Data, optional
        Training data; `Quadratic` needs none.
    update : array, shape (P,), optional
        u; theta moves by -eta u. Default: the gradient, as in gradient descent.

    Returns
    -------
    float
        Negative if the update is uphill and u.Hu is positive; NaN if u.g is 0.

    Raises
    ------
    InputError
        If theta or the update has another shape.

    Notes
    -----
    Kalra et al. 2026, arXiv:2601.16979. The value scales with u; it is bounded by the sharpness for
    gradient descent only.
    """
    objective = as_model(model).bind(as_data(data))
    theta = checked_vector("theta", theta, objective)
    gradient = np.empty_like(theta)
    with one_blas_thread():
        objective.gradient(theta, gradient)
        u = gradient if update is None else checked_vector("update", update, objective)
        return quotient(*slope_and_bend(objective, gradient, u))
