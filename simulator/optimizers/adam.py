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

    See `Moments` for the parameters.
    """

    name: ClassVar[str] = "adam"

    def second_moment(self, gradient: Array, seed: int) -> float:
        return 0.0
