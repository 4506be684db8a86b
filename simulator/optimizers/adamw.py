"""Adam with decoupled weight decay."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from simulator.checks import nonnegative
from simulator.optimizers.base import Array, StabilityLimit
from simulator.optimizers.moments import Moments

__all__ = ["AdamW"]


@dataclass(frozen=True)
class AdamW(Moments):
    """Adam's u_t plus ``weight_decay`` theta_t: theta' = (1 - eta kappa) theta - eta m_t / P.

    PyTorch's form and default; optax's default is 1e-4. With P held fixed it is stable iff
    eta (1 - beta1) lambda < (1 + beta1)(2 - eta kappa) for each eigenvalue lambda of P^-1 H.

    Parameters
    ----------
    beta1 : float
        Memory of the average of gradients, from 0 to below 1.
    beta2 : float
        Memory of the average of their squares, from 0 to below 1.
    eps : float
        Added to the root of the second.
    weight_decay : float
        kappa, at least 0; decoupled, times eta.

    Raises
    ------
    InputError
        For a value outside these.
    """

    name: ClassVar[str] = "adamw"

    weight_decay: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        nonnegative("weight_decay", self.weight_decay)

    def second_moment(self, gradient: Array, seed: int) -> float:
        return 0.0

    def direction(self, theta: Array, gradient: Array, state: Array, t: int, out: Array) -> None:
        self.advance(gradient, state)
        self.corrected(state, t, out)
        out += theta.dtype.type(self.weight_decay) * theta

    @property
    def limit(self) -> StabilityLimit:
        borne = (1.0 + self.beta1) / (1.0 - self.beta1)
        return StabilityLimit(2.0 * borne, self.weight_decay * borne)

    @property
    def first_limit(self) -> StabilityLimit:
        borne = 1.0 / (1.0 - self.beta1)
        return StabilityLimit(2.0 * borne, self.weight_decay * borne)
