"""Warmup from the critical learning rate, with the slope of a warmup from 0."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from simulator.checks import count, nonnegative, positive
from simulator.schedules.base import Schedule

__all__ = ["ModifiedWarmup"]


@dataclass(frozen=True)
class ModifiedWarmup(Schedule):
    """eta_t = eta_init + eta_trgt t / t_wrm, at most eta_trgt.

    With eta_init the critical learning rate, this saves the updates that linear warmup from 0
    spends below it: t_wrm eta_init / eta_trgt of them (Kalra & Barkeshli 2024, section 6.1 and
    code). The slope is eta_trgt / t_wrm; that of `Warmup` is (eta_trgt - eta_init) / t_wrm.

    Parameters
    ----------
    eta_init, eta_trgt : float
        Learning rates before the first update and at the end of warmup.
    t_wrm : int
        Length of the warmup from 0, at least 1.

    Raises
    ------
    InputError
        If a value is not allowed.
    """

    name: ClassVar[str] = "modified"

    eta_init: float = 0.0
    eta_trgt: float = 1.0
    t_wrm: int = 1

    def __post_init__(self) -> None:
        nonnegative("eta_init", self.eta_init)
        positive("eta_trgt", self.eta_trgt)
        count("t_wrm", self.t_wrm, 1)

    def values(self, steps: int) -> NDArray[np.float64]:
        t = np.arange(1, count("steps", steps, 0) + 1)
        with np.errstate(over="ignore"):  # beyond eta_trgt
            return np.minimum(self.eta_init + self.eta_trgt * (t / self.t_wrm), self.eta_trgt)
