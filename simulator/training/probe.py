"""The loss after the next update at any learning rate, without taking the update."""

from __future__ import annotations

import math

import numpy as np

from simulator.curvature.of_the_step import bend
from simulator.models import Array, Objective
from simulator.training.rule import UpdateRule

__all__ = ["Probe"]


class Probe:
    """The line of a run's next update, and the loss along it.

    Theta, gradient and the optimizer's state are not changed. The rule must have started, and the
    objective must be restricted to the batch of the update.

    Attributes
    ----------
    step : int
        Number of updates before this one.
    loss : float
        Loss before the update.
    sharpness : float
        Last measured effective sharpness; NaN if never measured.
    forward_passes : int
        Number of calls of ``loss_after``.
    products : int
        Number of calls of ``bend``.
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
        """Set theta (P,) with its gradient (P,) and loss; the arrays are kept.

        ``update`` (P,) is u_t, if known.
        """
        self.step, self.loss, self.sharpness = step, loss, sharpness
        self._theta, self._gradient = theta, gradient
        self._next = update

    def moves(self) -> bool:
        """Whether the update moves theta at a nonzero learning rate."""
        return bool(self._rule.at_rates(self._direction()).any())

    def loss_after(self, eta: float) -> float:
        """Loss after the update at eta: one forward pass. Infinite if it is not finite."""
        self.forward_passes += 1
        update = self._direction()
        with np.errstate(over="ignore", invalid="ignore"):
            np.copyto(self._moved, self._theta)
            self._rule.descend(self._moved, update, eta)
            loss = self._objective.loss(self._moved)
        return loss if math.isfinite(loss) else math.inf

    def slope(self) -> float:
        """u.g, with u the update at eta = 1 and g the gradient; positive downhill."""
        return float(self._gradient @ self._rule.at_rates(self._direction()))

    def length_squared(self) -> float:
        """u.u."""
        along = self._rule.at_rates(self._direction())
        return float(along @ along)

    def bend(self) -> float:
        """u.Hu, with H the Hessian at the gradient's theta: one Hessian-vector product."""
        self.products += 1
        return bend(self._objective, self._rule.at_rates(self._direction()))

    def quadratic_guess(self) -> float:
        """The eta at which the loss returns to its value, to second order along the update.

        2 u.g / u.Hu; NaN if the curvature along the update is not positive, or the update is not
        downhill.
        """
        slope, curved = self.slope(), self.bend()
        return 2.0 * slope / curved if slope > 0 and curved > 0 else math.nan

    def eta_critical(self) -> float:
        """The learning rate whose threshold is the sharpness; inf if all are stable."""
        return self._rule.optimizer.eta_critical(self.sharpness)

    def _direction(self) -> Array:
        if self._next is None:
            self._rule.next_update(self._theta, self._gradient, self.step + 1, self._update)
            self._next = self._update
        return self._next
