"""The curves of a flow during integration."""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.arrays import Array
from simulator.flows.update import Update

__all__ = ["Curves"]


class Curves:
    """Curves (steps,), which start at ``start``."""

    def __init__(self, steps: int, start: int, max_rank: int) -> None:
        names = ("loss", "predicted_loss", "predicted_gradient_square", "variance", "alpha", "beta")
        more = ("taylor", "distance", "stable_distance", "path")
        self._curves: dict[str, Array] = {name: np.full(steps, np.nan) for name in names + more}
        self._curves["eigenvalues"] = np.full((steps, max_rank + 1), np.nan)
        self._curves["residual"] = np.zeros(steps)
        self._curves["converged"] = np.full(steps, True)
        for name in ("rank", "critical"):
            self._curves[name] = np.zeros(steps, dtype=np.int64)
        self._contact = -1

    def note(self, t: int, update: Update) -> None:
        """Record the results of update t."""
        curves = self._curves
        curves["loss"][t] = update.loss
        curves["predicted_loss"][t] = update.loss + update.added_loss
        curves["predicted_gradient_square"][t] = update.gradient_square + update.added_square
        curves["eigenvalues"][t, : len(update.sharpness)] = update.sharpness
        same = ("variance", "alpha", "beta", "taylor", "residual", "converged", "rank", "critical")
        for name in same:
            curves[name][t] = getattr(update, name)
        if update.critical and self._contact < 0:
            self._contact = t

    def since_contact(self, t: int) -> int:
        """Number of updates from first contact to update t, inclusive; 0 before it."""
        return t - self._contact + 1 if self._contact >= 0 else 0

    def compare(self, t: int, mean: Array, start: Array, centre: Array, stable: Array) -> None:
        """Record the distances of the two flows from the run, and the length of its path."""
        self._curves["distance"][t] = np.linalg.norm(centre - mean)
        self._curves["stable_distance"][t] = np.linalg.norm(stable - mean)
        self._curves["path"][t] = np.linalg.norm(mean - start)

    def finished(self) -> dict[str, Any]:
        """All curves, by name."""
        values = self._curves["eigenvalues"]
        shown = max(1, int(np.isfinite(values).any(axis=0).sum()))
        return self._curves | {"eigenvalues": values[:, :shown]}
