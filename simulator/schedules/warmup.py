"""Polynomial warmup, and what follows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from simulator.checks import count, nonnegative, one_of, positive
from simulator.schedules.base import Schedule

__all__ = ["DECAYS", "Warmup"]

DECAYS = ("none", "cosine")


@dataclass(frozen=True)
class Warmup(Schedule):
    """Polynomial warmup from eta_init to eta_trgt, then constant, or decaying to eta_trgt / 10.

    eta_t = eta_init + (eta_trgt - eta_init) (t / t_wrm)^exponent for t = 1 ... t_wrm, so the first
    update already takes a step of the ramp and update t_wrm takes eta_trgt; t_wrm = 1 is no
    warmup (Kalra & Barkeshli 2024, eq. 7 and code). Then eta_trgt, or with ``decay="cosine"``
    half a cosine from eta_trgt at t_wrm to eta_trgt / 10 at the last update.

    Parameters
    ----------
    eta_init, eta_trgt : float
        Learning rates before the first update and at the end of warmup.
    t_wrm : int
        Updates of warmup, at least 1.
    exponent : float
        1 is linear.
    decay : {"none", "cosine"}
        What follows.

    Raises
    ------
    InputError
        For a value outside these.
    """

    name: ClassVar[str] = "warmup"

    eta_init: float = 0.0
    eta_trgt: float = 1.0
    t_wrm: int = 1
    exponent: float = 1.0
    decay: str = "none"

    def __post_init__(self) -> None:
        nonnegative("eta_init", self.eta_init)
        positive("eta_trgt", self.eta_trgt)
        count("t_wrm", self.t_wrm, 1)
        positive("exponent", self.exponent)
        one_of("decay", self.decay, DECAYS)

    def weights(self, steps: int) -> NDArray[np.float64]:
        """What eta_t takes of eta_init and of eta_trgt, for t = 1 ... steps; shape (2, steps).

        Being linear in the two lets networks of one shape of warmup train side by side. Raises
        `InputError` for a number of steps that cannot be counted.
        """
        t = np.arange(1, count("steps", steps, 0) + 1)
        of_trgt = np.minimum(t / self.t_wrm, 1.0) ** self.exponent
        of_init = 1.0 - of_trgt
        if self.decay == "cosine" and steps > self.t_wrm:
            after = t >= self.t_wrm
            progress = (t[after] - self.t_wrm) / (steps - self.t_wrm)
            of_trgt[after] = 0.1 + 0.9 * 0.5 * (1.0 + np.cos(np.pi * progress))
        return np.stack([of_init, of_trgt])

    def values(self, steps: int) -> NDArray[np.float64]:
        of_init, of_trgt = self.weights(steps)
        return self.eta_init * of_init + self.eta_trgt * of_trgt
