"""A learning rate that rises as the loss falls."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from simulator.checks import fraction, nonnegative, positive
from simulator.schedules.base import Chooser, Probe, Schedule

__all__ = ["LossGap"]


@dataclass(frozen=True)
class LossGap(Schedule):
    """eta_t = ``factor`` eta_0 (L_0 / L_t)^``exponent``, at most eta_trgt.

    eta_0 is the largest stable learning rate before the first update (2 / lambda_0 for gradient
    descent), and L_t the loss of the batch of update t before it. A rising loss lowers eta. The
    schedule measures the curvature once and assumes that it falls with the loss. It fails under
    progressive sharpening: with cross-entropy in muP the sharpness grows several-fold while the
    loss falls, and no network trains.

    Parameters
    ----------
    eta_trgt : float
        The largest learning rate.
    exponent : float
        Power of the loss ratio. 1 - 1 / L is that of the sharpness of a balanced linear chain of L
        weights, far from its minimum.
    factor : float
        The first learning rate, as a multiple of the instability threshold.
    memory : float
        Decay rate of an average of the loss, from 0 (no average) to below 1; for minibatches.

    Raises
    ------
    InputError
        If a value is not allowed.

    Notes
    -----
    A variant for gradient descent of the warmup from the loss gap of arXiv:2602.05813, which needs
    constants of a finished run.
    """

    name: ClassVar[str] = "loss-gap"
    needs_sharpness: ClassVar[bool] = True

    eta_trgt: float = 1.0
    exponent: float = 2.0 / 3.0
    factor: float = 1.0
    memory: float = 0.0

    def __post_init__(self) -> None:
        positive("eta_trgt", self.eta_trgt)
        nonnegative("exponent", self.exponent)
        positive("factor", self.factor)
        fraction("memory", self.memory)

    def chooser(self) -> Chooser:
        return _Gap(self)


class _Gap:
    """The first loss and learning rate, and a weighted sum of the losses so far."""

    MEMORY = ("first", "start", "loss", "weight")

    def __init__(self, schedule: LossGap) -> None:
        self._schedule = schedule
        self.first = self.start = math.nan
        self.loss = self.weight = 0.0

    def __call__(self, probe: Probe) -> float:
        schedule = self._schedule
        if math.isnan(self.first):
            self.first, self.start = probe.loss, schedule.factor * probe.eta_critical()
        self.loss = schedule.memory * self.loss + probe.loss
        self.weight = schedule.memory * self.weight + 1.0
        loss = self.loss / self.weight
        if not loss > 0.0:
            return schedule.eta_trgt
        with np.errstate(over="ignore", invalid="ignore"):
            rise = float(np.power(self.first / loss, schedule.exponent))
        return min(schedule.eta_trgt, self.start * rise)
