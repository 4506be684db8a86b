"""A learning rate proportional to the stability limit of the current sharpness."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from simulator.checks import positive
from simulator.schedules.base import Chooser, Probe, Schedule

__all__ = ["AtThreshold"]


@dataclass(frozen=True)
class AtThreshold(Schedule):
    """eta_t = ``factor`` times the largest stable learning rate, at most eta_trgt.

    For gradient descent this is factor * 2 / sharpness, with the last measured sharpness. Below
    factor 1 training stays stable. Slightly above 1 training is in a persistent catapult; this
    needs no search, but the sharpness at each step.

    Parameters
    ----------
    eta_trgt : float
        The largest learning rate.
    factor : float
        Multiple of the largest stable learning rate.

    Raises
    ------
    InputError
        If a value is not allowed.
    """

    name: ClassVar[str] = "threshold"
    needs_sharpness: ClassVar[bool] = True

    eta_trgt: float = 1.0
    factor: float = 1.0

    def __post_init__(self) -> None:
        positive("eta_trgt", self.eta_trgt)
        positive("factor", self.factor)

    def chooser(self) -> Chooser:
        return _Fraction(self)


class _Fraction:
    """A chooser that depends on the sharpness only."""

    MEMORY = ()

    def __init__(self, schedule: AtThreshold) -> None:
        self._schedule = schedule

    def __call__(self, probe: Probe) -> float:
        return min(self._schedule.factor * probe.eta_critical(), self._schedule.eta_trgt)
