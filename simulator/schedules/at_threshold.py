"""A learning rate that stays in proportion to the one that the sharpness allows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from simulator.checks import positive
from simulator.schedules.base import Chooser, Probe, Schedule

__all__ = ["AtThreshold"]


@dataclass(frozen=True)
class AtThreshold(Schedule):
    """eta_t is ``factor`` times the learning rate whose threshold is the sharpness, up to eta_trgt.

    For gradient descent factor * 2 / sharpness. Below factor 1 training never leaves stability;
    a little above it, it is always in a catapult: a persistent one, without a search, but at the
    price of the sharpness. It takes the sharpness last measured.

    Parameters
    ----------
    eta_trgt : float
        The largest learning rate.
    factor : float
        Of the critical learning rate.

    Raises
    ------
    InputError
        For a value outside these.
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
    """Depends on the sharpness only."""

    MEMORY = ()

    def __init__(self, schedule: AtThreshold) -> None:
        self._schedule = schedule

    def __call__(self, probe: Probe) -> float:
        return min(self._schedule.factor * probe.eta_critical(), self._schedule.eta_trgt)
