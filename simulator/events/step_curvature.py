"""Sentences on the curvature along the step: when it reaches 2 / eta, and its final value."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from simulator import regimes
from simulator.limits import STEP_LIMIT
from simulator.trajectory import Array, Trajectory

__all__ = ["Ratios", "of_the_step", "ratios_of_the_step", "which_hessian"]

_BATCH = "batch sharpness"
# Measurements of single batches per median: enough to average out the noise.
_STEADY = 5


class Ratios(NamedTuple):
    """The ratio of a named curvature to its threshold (rows,), and that threshold as a formula."""

    name: str
    values: Array
    threshold: str
    noisy: bool = False

    def steadied(self) -> Ratios:
        """Medians of five consecutive measurements, if each is of a single batch."""
        known = np.flatnonzero(~np.isnan(self.values))
        if not self.noisy or len(known) < _STEADY:
            return self
        values = np.full(len(self.values), np.nan)
        windows = np.lib.stride_tricks.sliding_window_view(self.values[known], _STEADY)
        values[known[_STEADY - 1 :]] = np.median(windows, axis=1)
        return self._replace(values=values)

    def late(self) -> float:
        """Median over the last quarter; NaN where nothing was measured there."""
        late = self.values[regimes.first_late(len(self.values)) :]
        known = late[~np.isnan(late)]
        return float(np.median(known)) if known.size else np.nan

    def until(self, row: int) -> float:
        """The last value measured up to this row; NaN where there is none."""
        known = self.values[: row + 1][~np.isnan(self.values[: row + 1])]
        return float(known[-1]) if known.size else np.nan


def which_hessian(curves: Trajectory) -> str:
    """Which Hessian the sharpness of a minibatch run is of."""
    if curves.updates_per_epoch == 1 or not np.isfinite(curves.effective_sharpness).any():
        return ""
    name = curves.sharpness_name
    return f"The {name} is measured on the batch of each update, not on all samples."


def of_the_step(curves: Trajectory) -> str:
    """Directional, critical or batch sharpness compared with the top eigenvalue."""
    in_batches, text = curves.updates_per_epoch > 1, list[str]()
    step, top = ratios_of_the_step(curves), _top(curves, in_batches)
    if step is None:
        return ""
    # The value of one batch is noise.
    if not step.noisy:
        text.append(_reached(curves, step, top))
    elif top is None and not curves.adaptive:
        steady = step._replace(name=f"{step.name} (median of {_STEADY} measurements)")
        text.append(_reached(curves, steady.steadied(), top))
    ended = step.late()
    if np.isfinite(ended):
        beside = ""
        if top is not None and np.isfinite(top.late()):
            beside = f", and the median {top.name} is {top.late():.3g} times {top.threshold}"
        text.append(
            f"Over the last quarter of the run, the median {step.name} is {ended:.3g} times "
            f"2 / eta{beside}."
        )
    return " ".join(text)


def ratios_of_the_step(curves: Trajectory) -> Ratios | None:
    """The best measured curvature along the step, over its threshold."""
    in_batches = curves.updates_per_epoch > 1
    found = [
        ("directional sharpness", curves.directional_sharpness),
        ("critical sharpness", curves.critical_sharpness),
    ]
    found.insert(0 if in_batches else 2, (_BATCH, curves.batch_sharpness))
    for name, values in found:
        if values is not None:
            ratios = STEP_LIMIT.ratio(values, curves.eta)
            if not np.isnan(ratios).all():
                return Ratios(name, ratios, "2 / eta", in_batches and name != _BATCH)
    return None


def _top(curves: Trajectory, in_batches: bool) -> Ratios | None:
    """The top eigenvalue over its threshold, of all samples if that was measured."""
    full, threshold = curves.full_sharpness, curves.threshold_text
    if in_batches and full is not None and not curves.adaptive:
        return Ratios("full sharpness", curves.limit.ratio(full, curves.eta), threshold)
    if not np.isfinite(curves.ratio).any():
        return None
    return Ratios(curves.sharpness_name, curves.ratio, threshold)


def _reached(curves: Trajectory, step: Ratios, top: Ratios | None) -> str:
    """When it first reaches its threshold, and the top eigenvalue at that step."""
    met = np.flatnonzero(step.values >= 1)
    if not met.size:
        most = float(np.nanmax(step.values))
        return f"The {step.name} stays below 2 / eta (at most {most:.3g} times 2 / eta)."
    text = f"The {step.name} first reaches 2 / eta at step {curves.at(int(met[0]))}"
    there = np.nan if top is None else top.until(int(met[0]))
    if top is None or not np.isfinite(there):
        return f"{text}."
    return f"{text}, when the {top.name} is {there:.3g} times {top.threshold}."
