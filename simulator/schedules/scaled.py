"""A schedule times a factor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from simulator.checks import positive
from simulator.schedules.base import Chooser, Probe, Schedule

__all__ = ["Scaled", "ScaledChooser"]


@dataclass(frozen=True)
class Scaled(Schedule):
    """eta_t = ``factor`` times that of ``schedule``; forks use it.

    Parameters
    ----------
    schedule : Schedule
    factor : float
        Above 0.

    Raises
    ------
    InputError
        If the factor is not positive.
    """

    name: ClassVar[str] = "scaled"

    schedule: Schedule
    factor: float

    def __post_init__(self) -> None:
        positive("factor", self.factor)

    @property
    def needs_sharpness(self) -> bool:  # type: ignore[override]
        return self.schedule.needs_sharpness

    def values(self, steps: int) -> NDArray[np.float64]:
        return self.factor * np.asarray(self.schedule.values(steps), dtype=float)

    def chooser(self) -> Chooser | None:
        choose = self.schedule.chooser()
        return None if choose is None else ScaledChooser(choose, self.factor)


class ScaledChooser:
    """``factor`` times the result of the chooser ``choose``, which holds the state."""

    def __init__(self, choose: Chooser, factor: float) -> None:
        self.choose = choose
        self._factor = factor

    def __call__(self, probe: Probe) -> float:
        return self._factor * self.choose(probe)
