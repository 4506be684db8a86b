"""What the loss would be after the next update, at any learning rate, without taking it."""

from __future__ import annotations

import math

import numpy as np

from simulator.curvature.of_the_step import bend
from simulator.models import Array, Objective
from simulator.training.rule import UpdateRule

__all__ = ["Probe"]


class Probe:
    """The line along which a run's next update moves, and the loss on it.

    Nothing is committed: theta, gradient and the optimizer's state stay as they are. The rule must
    have started, and the objective must show the samples that the update sees.

    Attributes
    ----------
    step : int
        Updates taken before this one.
    loss : float
        Where the run stands.
    sharpness : float
        Last measured: pre-conditioned, if there is such a thing. NaN where it never was.
    forward_passes : int
        Calls of ``loss_after`` so far, at all points.
    products : int
        Calls of ``bend``.
    """

    # See `simulator.training.checkpoints`.
    MEMORY = ("forward_passes", "products")

    def __init__(self, objective: Objective, rule: UpdateRule) -> None:
        self._objective, self._rule = objective, rule
        self._update, self._moved = np.empty((2, objective.size), dtype=objective.dtype)
        self.step, self.loss, self.sharpness = 0, math.nan, math.nan
        self.forward_passes = self.products = 0

    def at(
        self,
        step: int,
        theta: Array,
        gradient: Array,
        loss: float,
        sharpness: float = math.nan,
        update: Array | None = None,
    ) -> None:
        """Stand at theta (P,), whose gradient (P,) and loss these are; the arrays are kept.

        ``update`` (P,) is u_t, where it is known already.
        """
        self.step, self.loss, self.sharpness = step, loss, sharpness
        self._theta, self._gradient = theta, gradient
        self._next = update

    def moves(self) -> bool:
        """Whether the update moves theta, at a learning rate other than 0."""
        return bool(self._rule.at_rates(self._direction()).any())

    def loss_after(self, eta: float) -> float:
        """Loss after the update at eta: one forward pass. Infinite where it is not finite."""
        self.forward_passes += 1
        update = self._direction()
        with np.errstate(over="ignore", invalid="ignore"):
            np.copyto(self._moved, self._theta)
            self._rule.descend(self._moved, update, eta)
            loss = self._objective.loss(self._moved)
        return loss if math.isfinite(loss) else math.inf

    def slope(self) -> float:
        """u.g, with u the update at eta = 1 and g the gradient: above 0 it begins downhill."""
        return float(self._gradient @ self._rule.at_rates(self._direction()))

    def length_squared(self) -> float:
        """u.u."""
        along = self._rule.at_rates(self._direction())
        return float(along @ along)

    def bend(self) -> float:
        """u.Hu, with H the Hessian where the gradient is: one Hessian product."""
        self.products += 1
        return bend(self._objective, self._rule.at_rates(self._direction()))

    def quadratic_guess(self) -> float:
        """Eta at which the loss is back where it was, to second order along the update.

        2 u.g / u.Hu; NaN where the loss does not bend upwards, or the update does not begin
        downhill.
        """
        slope, curved = self.slope(), self.bend()
        return 2.0 * slope / curved if slope > 0 and curved > 0 else math.nan

    def eta_critical(self) -> float:
        """The learning rate whose threshold is the sharpness; inf where any is stable."""
        return self._rule.optimizer.eta_critical(self.sharpness)

    def _direction(self) -> Array:
        if self._next is None:
            self._rule.next_update(self._theta, self._gradient, self.step + 1, self._update)
            self._next = self._update
        return self._next
