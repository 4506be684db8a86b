"""Training: the one loop, what it records, and the unit of its learning rate."""

from __future__ import annotations

from simulator.training.batches import check_batch_size
from simulator.training.loop import Interrupted, simulate
from simulator.training.natural import natural_phase
from simulator.training.probe import Probe
from simulator.training.rule import Rule, critical_eta
from simulator.training.sight import Sight

__all__ = [
    "Interrupted", "Probe", "Rule", "Sight", "check_batch_size", "critical_eta",
    "natural_phase", "simulate",
]  # fmt: skip
