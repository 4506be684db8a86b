"""Training: the training loop, its records, and the critical learning rate."""

from __future__ import annotations

from simulator.training.along_a_run import Spectra, spectra, spectra_steps
from simulator.training.batch_curvature import check_measure
from simulator.training.checkpoints import Checkpoint
from simulator.training.forking import checkpoint, fork
from simulator.training.in_progress import Interrupted
from simulator.training.loop import simulate, train
from simulator.training.natural import natural_phase
from simulator.training.probe import Probe
from simulator.training.rule import UpdateRule, eta_critical
from simulator.training.snapshot import Snapshot

__all__ = [
    "Checkpoint", "Interrupted", "Probe", "Snapshot", "Spectra", "UpdateRule", "check_measure",
    "checkpoint", "eta_critical", "fork", "natural_phase", "simulate", "spectra",
    "spectra_steps", "train",
]  # fmt: skip
