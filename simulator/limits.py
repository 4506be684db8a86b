"""The largest stable sharpness of an update rule at a learning rate."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from simulator.arrays import Array

__all__ = ["STEP_LIMIT", "StabilityLimit"]


class StabilityLimit(NamedTuple):
    """The largest stable sharpness at a learning rate eta: ``over_eta`` / eta - ``decay``.

    Parameters
    ----------
    over_eta : float
        Stable sharpness times eta: 2 for gradient descent, 38 for Adam.
    decay : float
        The reduction by decoupled weight decay.
    """

    over_eta: float
    decay: float = 0.0

    @property
    def memoryless(self) -> bool:
        """Whether an update depends on the gradient only: only instability raises the loss."""
        return self == STEP_LIMIT

    def formula(self, eta: str = "eta") -> str:
        """The largest stable sharpness as a formula, such as 2 / eta."""
        return f"{self.over_eta:.3g} / {eta}" + (f" - {self.decay:.3g}" if self.decay else "")

    def sharpness(self, eta: ArrayLike) -> Array:
        """The largest stable sharpness at eta (steps,) or of any shape; inf where eta is 0."""
        with np.errstate(divide="ignore", over="ignore"):
            return np.divide(self.over_eta, np.asarray(eta, dtype=float)) - self.decay

    def eta(self, sharpness: float) -> float:
        """The largest stable learning rate; inf if every learning rate is stable."""
        curvature = sharpness + self.decay
        return self.over_eta / curvature if curvature > 0 else np.inf

    def ratio(self, sharpness: ArrayLike, eta: ArrayLike) -> Array:
        """Sharpness over threshold: (sharpness + decay) eta / ``over_eta``, unstable above 1.

        Its shape is that of sharpness and eta, such as (steps,).
        """
        # The same product as in the kernels, so that both round alike.
        per_sharpness = np.multiply(eta, 1.0 / self.over_eta)
        with np.errstate(over="ignore"):
            return np.add(sharpness, self.decay) * per_sharpness


# For the curvature along one update (directional, critical, batch), for every optimizer.
STEP_LIMIT = StabilityLimit(2.0)
