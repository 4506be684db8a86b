"""Learning-rate schedules."""

from __future__ import annotations

from numbers import Real

from simulator.checks import positive
from simulator.named import instance
from simulator.schedules.at_threshold import AtThreshold
from simulator.schedules.base import ETA_UNITS, GRID, Chooser, Probe, Schedule, unit_of
from simulator.schedules.cdat import CDAT
from simulator.schedules.loss_gap import LossGap
from simulator.schedules.modified import ModifiedWarmup
from simulator.schedules.persistent_catapult import PersistentCatapult
from simulator.schedules.scaled import Scaled, ScaledChooser
from simulator.schedules.warmup import DECAYS, Warmup

__all__ = [
    "CDAT", "DECAYS", "ETA_UNITS", "GRID", "SCHEDULES", "AtThreshold", "Chooser", "LossGap",
    "ModifiedWarmup", "PersistentCatapult", "Probe", "Scaled", "ScaledChooser", "Schedule",
    "Warmup", "as_schedule", "unit_of",
]  # fmt: skip

SCHEDULES: dict[str, type[Schedule]] = {
    schedule.name: schedule
    for schedule in (Warmup, ModifiedWarmup, PersistentCatapult, AtThreshold, CDAT, LossGap)
}


def as_schedule(given: object) -> Schedule:
    """A schedule from an object, a class, the name of a built-in class, or a constant number.

    Raises `InputError` for anything else.
    """
    if isinstance(given, Real):
        return Warmup(eta_trgt=positive("schedule", given))
    schedule: Schedule = instance("schedule", given, Schedule, SCHEDULES)
    return schedule
