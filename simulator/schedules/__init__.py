"""Learning-rate schedules."""

from __future__ import annotations

from simulator.schedules.at_threshold import AtThreshold
from simulator.schedules.base import GRID, Chooser, Probe, Schedule
from simulator.schedules.modified import ModifiedWarmup
from simulator.schedules.persistent_catapult import PersistentCatapult
from simulator.schedules.scaled import Scaled, ScaledChooser
from simulator.schedules.warmup import DECAYS, Warmup

__all__ = [
    "DECAYS", "GRID", "SCHEDULES", "AtThreshold", "Chooser", "ModifiedWarmup", "PersistentCatapult",
    "Probe", "Scaled", "ScaledChooser", "Schedule", "Warmup",
]  # fmt: skip

SCHEDULES: dict[str, type[Schedule]] = {
    schedule.name: schedule
    for schedule in (Warmup, ModifiedWarmup, PersistentCatapult, AtThreshold)
}
