"""Learning-rate schedules."""

from __future__ import annotations

from simulator.schedules.at_threshold import AtThreshold
from simulator.schedules.base import GRID, Chooser, Probe, Schedule
from simulator.schedules.cdat import CDAT
from simulator.schedules.loss_gap import LossGap
from simulator.schedules.modified import ModifiedWarmup
from simulator.schedules.persistent_catapult import PersistentCatapult
from simulator.schedules.scaled import Scaled, ScaledChooser
from simulator.schedules.warmup import DECAYS, Warmup

__all__ = [
    "CDAT", "DECAYS", "GRID", "SCHEDULES", "AtThreshold", "Chooser", "LossGap", "ModifiedWarmup",
    "PersistentCatapult", "Probe", "Scaled", "ScaledChooser", "Schedule", "Warmup",
]  # fmt: skip

SCHEDULES: dict[str, type[Schedule]] = {
    schedule.name: schedule
    for schedule in (Warmup, ModifiedWarmup, PersistentCatapult, AtThreshold, CDAT, LossGap)
}
