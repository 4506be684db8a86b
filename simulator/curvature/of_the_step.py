"""The curvature along one update: directional sharpness, and the search for critical sharpness.

With g the gradient, H the Hessian and u the update (theta moves by -eta u), both of the loss that
the update sees: the directional sharpness is u.Hu / u.g. To second order the update raises the loss
where it exceeds 2 / eta, for every optimizer. The critical sharpness is 2 / eta_c, with eta_c the
least learning rate at which the update raises the loss: it needs no Hessian, and on a quadratic it
is the directional sharpness. Kalra et al. 2026, arXiv:2601.16979.
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

    Its last ``gradient`` set theta.
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
    """The learning rates between which the loss after an update first exceeds ``loss``."""
    return near_search(lambda eta: not loss_after(eta) <= loss, guess, **options)


def sharpness_at(bracket: Bracket) -> float:
    """2 / eta_c, with eta_c in the middle of this bracket; 0 where the search found none."""
    lower, upper = bracket
    if not bracket.found:
        return 0.0
    return 2.0 / (math.sqrt(lower) * math.sqrt(upper) if lower > 0 else upper)


class Line(Protocol):
    """The line theta - eta u along one update, and the loss that the update sees."""

    def slope(self) -> float:
        """u.g."""

    def length_squared(self) -> float:
        """u.u."""

    def bend(self) -> float:
        """u.Hu: one Hessian product."""

    def loss_after(self, eta: float) -> float:
        """The loss after the update at eta: one forward pass. Infinite where it is not finite."""


class CriticalSearch:
    """The critical sharpness of update after update: each search begins near the last one."""

    # See `simulator.training.checkpoints`.
    MEMORY = ("_factors",)

    def __init__(self) -> None:
        # eta_c over what was expected, at the last search: by whether u.Hu was known.
        self._factors = np.full(2, np.nan)

    def sharpness(self, line: Line, loss: float, eta: float, bend: float = math.nan) -> float:
        """2 / eta_c; infinite where the update begins uphill, NaN where the loss is level.

        The search begins at 2 u.g / u.Hu, times what eta_c was of that at the last one. Without
        ``bend``, u.Hu, |u|^2 is in its place.
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
        # Where it found none, the next one begins anew.
        self._factors[int(measured)] = 2.0 / sharpness / expected if sharpness else math.nan
        return sharpness


def directional_sharpness(
    model: Model, theta: Array, data: Data | None = None, update: Array | None = None
) -> float:
    """Curvature of the loss along an update u, per unit of slope: u.Hu / u.g.

    The loss changes by -eta u.g (1 - eta lambda / 2) to second order, with lambda this number. If
    u.g is positive, the update therefore raises the loss where lambda exceeds 2 / eta.

    Parameters
    ----------
    model : Model
    theta : array, shape (P,)
        Where.
    data : Data, optional
        What models other than `Quadratic` have their loss on.
    update : array, shape (P,), optional
        u; theta moves by -eta u. Default: the gradient, as in gradient descent.

    Returns
    -------
    float
        Negative where the update begins uphill and the loss bends upwards; NaN where u.g is 0.

    Raises
    ------
    InputError
        For a theta or an update of another shape.

    Notes
    -----
    Kalra et al. 2026, arXiv:2601.16979. The value is at most the sharpness for gradient descent
    only: it scales with u.
    """
    objective = as_model(model).bind(as_data(data))
    theta = checked_vector("theta", theta, objective)
    gradient = np.empty_like(theta)
    with one_blas_thread():
        objective.gradient(theta, gradient)
        u = gradient if update is None else checked_vector("update", update, objective)
        return quotient(*slope_and_bend(objective, gradient, u))
