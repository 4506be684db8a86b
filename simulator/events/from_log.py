"""Curves from a log that another program wrote."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from simulator import regimes
from simulator.events.step_curvature import ratios_of_the_step
from simulator.limits import StabilityLimit
from simulator.logs import Log, read_log
from simulator.trajectory import Trajectory

# Updates with a ratio below _FAR lower the loss; at least _FEWEST of them are needed.
_FAR, _FEWEST = 0.5, 8

__all__ = ["curves_of", "read_curves"]


def curves_of(log: Log, limit: StabilityLimit) -> Trajectory:
    """The curves of a log whose optimizer has this stability limit."""
    step_curvature: dict[str, Any] = {
        name: curve if (curve := getattr(log, name)).size and not np.isnan(curve).all() else None
        for name in ("directional_sharpness", "critical_sharpness")
    }
    curves = Trajectory(
        step=log.step,
        loss=log.loss,
        eta=log.eta,
        sharpness=log.sharpness,
        preconditioned_sharpness=log.preconditioned_sharpness,
        limit=limit,
        unit=log.account.unit,
        **step_curvature,
    )
    # The length of an epoch is unknown; this many rows average out batch noise.
    return replace(curves, updates_per_epoch=regimes.LAST_LOSSES) if _in_batches(curves) else curves


def _in_batches(curves: Trajectory) -> bool:
    """Whether each loss is of another batch, judged by the curvature along the step.

    An update whose curvature is far below 2 / eta lowers the loss of its batch. If a higher loss
    follows more than a tenth of such updates, the losses are of different batches.
    """
    ratios = ratios_of_the_step(curves)
    if ratios is None:
        return False
    rows = np.flatnonzero((ratios.values > 0) & (ratios.values < _FAR))
    rows = rows[rows + 1 < len(curves.loss)]
    return rows.size >= _FEWEST and float(np.mean(curves.loss[rows + 1] > curves.loss[rows])) > 0.1


def read_curves(
    path: str | Path, limit: StabilityLimit, columns: Sequence[str] | None = None
) -> Trajectory:
    """The curves of a log; see `simulator.logs.read_log`."""
    return curves_of(read_log(path, columns), limit)
