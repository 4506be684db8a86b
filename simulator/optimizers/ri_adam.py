"""RI-Adam: Adam whose second moment starts at random."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from simulator.optimizers.base import Array
from simulator.optimizers.moments import Moments
from simulator.seeding import generator

__all__ = ["RIAdam"]


@dataclass(frozen=True)
class RIAdam(Moments):
    """The form of `Moments` from v_0 = r^2, r Gaussian with the norm of g_1; bias correction kept.

    Kalra & Barkeshli's control for GI-Adam (2024, appendix I.3): what helps is the size of v_0, not
    its direction. r is drawn from the run's seed.

    Parameters
    ----------
    beta1 : float
        Memory of the average of gradients, from 0 to below 1.
    beta2 : float
        Memory of the average of their squares, from 0 to below 1.
    eps : float
        Added to the root of the second.

    Raises
    ------
    InputError
        For a value outside these.
    """

    name: ClassVar[str] = "ri-adam"

    def second_moment(self, gradient: Array, seed: int) -> Array:
        r = generator(seed, "second_moment").standard_normal(gradient.size)
        return (r * (np.linalg.norm(gradient) / np.linalg.norm(r))) ** 2
