"""Curvature-aware learning-rate tuning, from slope and curvature along the update."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from simulator.checks import fraction, positive
from simulator.schedules.base import Chooser, Probe, Schedule

__all__ = ["CDAT"]


@dataclass(frozen=True)
class CDAT(Schedule):
    """eta_t = ``sigma`` times slope over curvature along the update, at most eta_trgt.

    With u the update (theta moves by -eta u), g the gradient and H the Hessian, eta_t is sigma n /
    d: n is an average of max(u.g, 0) and d one of abs(u.Hu). To second order sigma = 1 is an exact
    line search, and sigma = 2 the largest rate at which the update does not raise the loss. eta
    falls at once when the curvature rises. Each update costs one Hessian-vector product, which
    `Run.products` counts.

    Parameters
    ----------
    eta_trgt : float
        The largest learning rate. Cross-entropy needs it: once the data are fitted the curvature
        vanishes, and eta grows without limit.
    sigma : float
        2 is at the edge of stability, 1 is greedy.
    memory : float
        Decay rate of both averages, from 0 (no average) to below 1. Use it for minibatches; on the
        full batch it slows the rise of eta.

    Raises
    ------
    InputError
        If a value is not allowed.

    Notes
    -----
    Roulet, Agarwala, Grill, Swirszcz, Blondel & Pedregosa 2024, arXiv:2407.06183. On a quadratic,
    by gradient descent without memory, an update changes the loss by
    -sigma (1 - sigma / 2) (g.g)^2 / g.Hg.
    """

    name: ClassVar[str] = "cdat"

    eta_trgt: float = 1.0
    sigma: float = 2.0
    memory: float = 0.0

    def __post_init__(self) -> None:
        positive("eta_trgt", self.eta_trgt)
        positive("sigma", self.sigma)
        fraction("memory", self.memory)

    def chooser(self) -> Chooser:
        return _Quotient(self)


class _Quotient:
    """Weighted sums over the updates so far; their scale cancels."""

    MEMORY = ("slope", "bend")

    def __init__(self, schedule: CDAT) -> None:
        self._schedule = schedule
        self.slope = self.bend = 0.0

    def __call__(self, probe: Probe) -> float:
        memory = self._schedule.memory
        self.slope = memory * self.slope + max(probe.slope(), 0.0)
        self.bend = memory * self.bend + abs(probe.bend())
        eta = self._schedule.sigma * self.slope / self.bend if self.bend > 0.0 else math.inf
        return min(self._schedule.eta_trgt, eta)
