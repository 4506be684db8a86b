"""Polynomial warmup, followed by a constant rate or a decay."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from simulator.checks import InputError, count, nonnegative, one_of, positive
from simulator.schedules.base import Schedule

__all__ = ["DECAYS", "Warmup"]

DECAYS = ("none", "cosine", "linear", "wsd")

# Default eta_end of each decay, as a fraction of eta_trgt.
_ENDS = {"cosine": 0.1, "linear": 0.0, "wsd": 0.0}


@dataclass(frozen=True)
class Warmup(Schedule):
    """Polynomial warmup from eta_init to eta_trgt, then a constant rate, then an optional decay.

    eta_t = eta_init + (eta_trgt - eta_init) (t / t_wrm)^exponent for t = 1 ... t_wrm, so the first
    update is already one step up the ramp and update t_wrm has eta_trgt; t_wrm = 1 is no warmup
    (Kalra & Barkeshli 2024, eq. 7 and code). Then eta_t = eta_trgt. Over the last t_decay of T
    updates, eta_t is multiplied by 1 - (1 - q) s with q = eta_end / eta_trgt: s rises from 0 at
    update T - t_decay to 1 at update T, linearly or as half a cosine.

    ``decay="wsd"`` (warmup-stable-decay) is linear over the last quarter of the updates.

    Parameters
    ----------
    eta_init, eta_trgt : float
        Learning rates before the first update and at the end of warmup.
    t_wrm : int
        Updates of warmup, at least 1.
    exponent : float
        1 is linear.
    decay : {"none", "cosine", "linear", "wsd"}
        Shape of s.
    t_decay : int, optional
        Number of last updates with decay. Default: all after t_wrm; with "wsd" a quarter of all.
    eta_end : float, optional
        Learning rate of the last update. Default eta_trgt / 10 with "cosine", else 0.

    Raises
    ------
    InputError
        If a value is not allowed, or if t_decay or eta_end is given without a decay.
    """

    name: ClassVar[str] = "warmup"

    eta_init: float = 0.0
    eta_trgt: float = 1.0
    t_wrm: int = 1
    exponent: float = 1.0
    decay: str = "none"
    t_decay: int | None = None
    eta_end: float | None = None

    def __post_init__(self) -> None:
        nonnegative("eta_init", self.eta_init)
        positive("eta_trgt", self.eta_trgt)
        count("t_wrm", self.t_wrm, 1)
        positive("exponent", self.exponent)
        one_of("decay", self.decay, DECAYS)
        if self.t_decay is not None:
            count("t_decay", self.t_decay, 1)
        if self.eta_end is not None:
            nonnegative("eta_end", self.eta_end)
        for name in ("t_decay", "eta_end"):
            value = getattr(self, name)
            if self.decay == "none" and value is not None:
                raise InputError(name, value, "there is no decay; give decay linear, wsd or cosine")

    def weights(self, steps: int) -> NDArray[np.float64]:
        """The coefficients of eta_init and eta_trgt in eta_t, t = 1 ... steps; shape (2, steps).

        Networks with one shape of warmup can train as a batch because eta_t is linear in the two,
        if eta_end is a fraction of eta_trgt. Raises `InputError` for an invalid number of steps.
        """
        t = np.arange(1, count("steps", steps, 0) + 1)
        of_trgt = np.minimum(t / self.t_wrm, 1.0) ** self.exponent
        of_init = 1.0 - of_trgt
        weights = np.stack([of_init, of_trgt])
        usual = steps // 4 if self.decay == "wsd" else steps - self.t_wrm
        length = usual if self.t_decay is None else self.t_decay
        if self.decay == "none" or length < 1:
            return weights
        part = np.clip((t - (steps - length)) / length, 0.0, 1.0)
        left = 0.5 * (1.0 + np.cos(np.pi * part)) if self.decay == "cosine" else 1.0 - part
        end = _ENDS[self.decay] if self.eta_end is None else self.eta_end / self.eta_trgt
        return weights * (end + (1.0 - end) * left)

    def values(self, steps: int) -> NDArray[np.float64]:
        of_init, of_trgt = self.weights(steps)
        return self.eta_init * of_init + self.eta_trgt * of_trgt
