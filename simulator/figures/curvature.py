"""The curvature panel of a run: each curve in multiples of its own threshold, or as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from simulator.figures.extent import LINEAR
from simulator.figures.palette import (
    BATCH,
    CRITICAL,
    DIRECTIONAL,
    FULL,
    INTERACTION,
    SHARPNESS,
    THRESHOLD,
)
from simulator.figures.symbols import ETA_T, sharpness_name
from simulator.limits import STEP_LIMIT, StabilityLimit
from simulator.trajectory import Array, Trajectory

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["CURVATURE_AXES", "draw_curvature"]

CURVATURE_AXES = ("ratio", "absolute")
# A divergence is shown up to this multiple of the threshold; a collapse down to this share of it.
_HIGHEST, _LOWEST = 20.0, 1e-8
_TRANSIENT = 0.02  # share of the values that may lie below the axis


class _Curve(NamedTuple):
    """A curve (rows,) as measured, the limit it is compared with, and how it is drawn."""

    values: Any
    limit: StabilityLimit
    name: str
    color: str
    marker: str = ""
    line: str = "-"
    error: Array | None = None

    @property
    def is_noisy(self) -> bool:
        """Whether it is dots, of which the positive ones are drawn."""
        return self.line == ""


def draw_curvature(curves: Trajectory, ax: Axes, axis: str = "ratio") -> Array:
    """Draw what was measured; returns the heights (rows,) of the sharpness.

    Parameters
    ----------
    curves : Trajectory
    ax : Axes
    axis : {"ratio", "absolute"}
        Each curve over its own threshold, with a line at 1; or the curves and their thresholds.
        Where the learning rate or the limit is not known there are no ratios.
    """
    known = bool(np.isfinite(curves.eta).any()) and not np.isnan(curves.limit.over_eta)
    ratio = axis == "ratio" and known
    shown = _shown(curves, every=not ratio)
    if not shown:
        ax.text(0.5, 0.5, "not measured", transform=ax.transAxes, ha="center")
        ax.set(ylabel="sharpness")
        return curves.effective_sharpness

    def height(values: Array, limit: StabilityLimit) -> Array:
        return limit.ratio(values, curves.eta) if ratio else values

    heights = [height(curve.values, curve.limit) for curve in shown]
    for curve, values in zip(shown, heights, strict=True):
        _draw(curves, curve, values, ratio, ax)
    sharpness = height(curves.effective_sharpness, curves.limit)
    if curves.converged is not None:
        doubtful = np.isfinite(sharpness) & ~curves.converged
        if doubtful.any():
            ax.plot(
                curves.step[doubtful], sharpness[doubtful], ls="", marker="s", ms=5,
                markerfacecolor="none", color=SHARPNESS, label="not converged",
            )  # fmt: skip
    lines = [_typical(c, values) for c, values in zip(shown, heights, strict=True)]
    if ratio:
        ax.axhline(1.0, color=THRESHOLD, lw=1.2, ls="--")
        _limit(ax, lines, 1.0, include=True)
        ax.set(ylabel="curvature / threshold")
    else:
        top = _limit(ax, lines, _last_threshold(curves), include=False)
        _draw_thresholds(curves, shown, top, ax)
        ax.set(ylabel=_absolute_name(curves, shown))
    ax.legend(loc="best", frameon=False, fontsize="small", ncols=1 + (len(shown) > 3))
    return sharpness


def _typical(curve: _Curve, values: Array) -> Array:
    """The values that an axis must show: of noisy ones the middle."""
    if not curve.is_noisy:
        return values
    positive = values[(values > 0) & np.isfinite(values)]
    low, high = np.quantile(positive, [0.02, 0.95]) if positive.size else (np.nan, np.nan)
    return positive[(positive >= low) & (positive <= high)]


def _shown(of: Trajectory, *, every: bool) -> list[_Curve]:
    """The curves with something in them; ``every`` one, or those with a threshold only."""
    here, step = " of the batch" if of.updates_per_epoch > 1 else "", STEP_LIMIT
    full, error = "full sharpness, all samples", of.batch_sharpness_error
    curves = [
        _Curve(of.directional_sharpness, step, "directional sharpness", DIRECTIONAL, ".", ""),
        _Curve(of.critical_sharpness, step, "critical sharpness", CRITICAL, "x", ""),
        _Curve(of.gradient_noise_interaction, step, "gradient-noise interaction", INTERACTION, "^"),
        _Curve(of.batch_sharpness, step, "batch sharpness", BATCH, "o", error=error),
        _Curve(of.full_sharpness, of.limit, full, FULL, "D"),
        _Curve(of.effective_sharpness, of.limit, of.sharpness_name + here, SHARPNESS),
    ]  # fmt: skip
    # Of a full batch it is the sharpness; under an adaptive optimizer it has no threshold.
    if (not here and np.isfinite(of.sharpness).any()) or (of.adaptive and not every):
        curves = [curve for curve in curves if curve.name != full]
    return [c for c in curves if c.values is not None and np.isfinite(c.values).any()]


def _draw(of: Trajectory, curve: _Curve, values: Array, ratio: bool, ax: Axes) -> None:
    measured = np.isfinite(values) & ((values > 0) | (not curve.is_noisy))
    step, marker = of.step[measured], curve.marker
    if not marker and np.diff(np.flatnonzero(measured)).max(initial=1) > 1:
        marker = "."
    name = f"{curve.name} ({curve.limit.formula(ETA_T)})" if ratio else curve.name
    style: dict[str, Any] = {
        "color": curve.color, "marker": marker, "ms": 3.0, "mew": 0.7, "label": name,
        "ls": curve.line, "lw": 1.4,
    }  # fmt: skip
    if curve.error is None:
        ax.plot(step, values[measured], **style)
        return
    error = curve.limit.ratio(curve.error, of.eta) if ratio else curve.error
    ax.errorbar(step, values[measured], yerr=error[measured], elinewidth=1, capsize=2, **style)


def _limit(ax: Axes, lines: list[Array], reference: float, *, include: bool) -> float:
    """Choose the axis and its ends for these curves; returns the upper end.

    ``reference`` is the threshold; it is to be seen in any case, or not.
    """
    values = np.concatenate([line[np.isfinite(line)] for line in lines])
    positive = values[values > 0]
    if not positive.size:
        return np.inf
    seen = [reference] if include else []
    # A short transient, as from a learning rate of 0, needs no decades; a divergence has no end.
    low, high = np.quantile(positive, _TRANSIENT), positive.max()
    high = max(min(high, _HIGHEST * max(values[0], reference)), *seen, low)
    low = max(min([low, *seen]), _LOWEST * high)
    logarithmic, low, high = high > LINEAR * low, 0.7 * low, 1.25 * high
    if logarithmic:
        ax.set(yscale="log", ylim=(low, high))
        ax.yaxis.set_major_formatter("{x:g}")
    else:
        ax.set(ylim=(min(0.0, float(values.min())), high))
    return float(high)


def _last_threshold(curves: Trajectory) -> float:
    known = curves.threshold[np.isfinite(curves.threshold)]
    return float(known[-1]) if known.size else 0.0


def _draw_thresholds(curves: Trajectory, shown: list[_Curve], top: float, ax: Axes) -> None:
    """2 / eta dashed; the optimizer's limit, where it is another, dotted."""
    limits = dict.fromkeys(curve.limit for curve in shown)
    for limit in limits:
        threshold = limit.sharpness(curves.eta)
        if np.isfinite(threshold).any():
            alone = limit == STEP_LIMIT or len(limits) == 1
            ax.plot(
                curves.step, np.where(threshold <= top, threshold, np.nan), color=THRESHOLD, lw=1.2,
                ls="--" if alone else ":", label=f"threshold {limit.formula(ETA_T)}",
            )  # fmt: skip


def _absolute_name(curves: Trajectory, shown: list[_Curve]) -> str:
    if len(shown) > 1:
        return "curvature"
    return sharpness_name(curves.adaptive)
