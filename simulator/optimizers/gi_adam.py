"""GI-Adam: Adam whose second moment starts at the first squared gradient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from simulator.optimizers.base import Array
from simulator.optimizers.moments import Moments

__all__ = ["GIAdam"]


@dataclass(frozen=True)
class GIAdam(Moments):
    """The form of `Moments` from v_0 = g_1^2, the bias correction kept (Kalra & Barkeshli 2024).

    That correction is not needed here, and so is a warmup: the steps are those of the uncorrected
    average at eta sqrt(1 - beta2^t). The first pre-conditioned sharpness is Adam's times
    sqrt(1 - beta2). The paper's code draws another batch for v_0; here it is the first update's.

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

    name: ClassVar[str] = "gi-adam"

    def second_moment(self, gradient: Array, seed: int) -> Array:
        return gradient**2
