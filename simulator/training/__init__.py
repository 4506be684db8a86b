"""Training: the one loop, what it records, and the unit of its learning rate."""

from __future__ import annotations

from simulator.training.batch_curvature import check_measure
from simulator.training.loop import Interrupted, simulate, train
from simulator.training.natural import natural_phase
from simulator.training.probe import Probe
from simulator.training.rule import UpdateRule, eta_critical
from simulator.training.snapshot import Snapshot

__all__ = [
    "Interrupted", "Probe", "Snapshot", "UpdateRule", "check_measure", "eta_critical",
    "natural_phase", "simulate", "train",
]  # fmt: skip
