"""Curves from a log that another program wrote."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from simulator.limits import StabilityLimit
from simulator.logs import Log, read_log
from simulator.trajectory import Trajectory

__all__ = ["curves_of", "read_curves"]


def curves_of(log: Log, limit: StabilityLimit) -> Trajectory:
    """The curves of a log, of an optimizer with this stability limit."""
    return Trajectory(
        step=log.step,
        loss=log.loss,
        eta=log.eta,
        sharpness=log.sharpness,
        preconditioned_sharpness=log.preconditioned_sharpness,
        limit=limit,
    )


def read_curves(
    path: str | Path, limit: StabilityLimit, columns: Sequence[str] | None = None
) -> Trajectory:
    """The curves of a log; see `simulator.logs.read_log`."""
    return curves_of(read_log(path, columns), limit)
