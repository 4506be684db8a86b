"""Adam."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from simulator.optimizers.base import Array
from simulator.optimizers.moments import Moments

__all__ = ["Adam"]


@dataclass(frozen=True)
class Adam(Moments):
    """The form of `Moments` from v_0 = 0: its first update moves every parameter by eta.

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

    name: ClassVar[str] = "adam"

    def second_moment(self, gradient: Array, seed: int) -> float:
        return 0.0
