"""The trajectory of a run, with its events marked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from simulator.checks import one_of
from simulator.events import Events, Story, find_events
from simulator.figures.canvas import describe, subplots
from simulator.figures.curvature import CURVATURE_AXES, draw_curvature
from simulator.figures.extent import last_step, loss_extent
from simulator.figures.palette import CATAPULT, EDGE, ETA, LOSS, THRESHOLD
from simulator.figures.style import Style, styled, write_title
from simulator.figures.symbols import ETA_T, UPDATES
from simulator.trajectory import Array, Trajectory

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["trajectory"]

# Beyond, matplotlib cannot place ticks.
HIGHEST = 1e300


@styled
def trajectory(
    run: Trajectory | Story,
    axes: Sequence[Axes] | None = None,
    *,
    curvature_axis: str = "ratio",
    style: Style | str | None = None,
) -> Sequence[Axes]:
    """Loss, curvature and eta over the steps of a run, its events marked.

    The curvature panel shows the sharpness and whatever else was measured, each over its own
    threshold: 2 / eta for directional, critical and batch sharpness and the gradient-noise
    interaction, the optimizer's stability limit for the sharpness. Unstable is above 1. Of
    directional and critical sharpness only positive values are drawn.

    Catapults are grey, their peaks marked; stretches at the edge of stability are blue; a circle is
    the crossing of the threshold from which either began.

    Parameters
    ----------
    run : Run, Trajectory or Story
    axes : three Axes, optional
        Default: a new figure.
    curvature_axis : {"ratio", "absolute"}
        ``absolute`` draws curvatures as they are, with 2 / eta dashed and the optimizer's limit,
        where that is another, dotted.
    style : Style or {"screen", "paper", "paper-wide"}, optional
        Its width is for a new figure. Default: that for a screen.

    Returns
    -------
    three Axes

    Raises
    ------
    InputError
        For another curvature axis or style.
    """
    counted = UPDATES
    if isinstance(run, Story):
        curves, events = run.curves, run.events
        counted = counted if run.source is None else run.source.unit
    else:
        curves, events = run, find_events(run)
    if axes is None:
        axes = subplots(3, 1, (7, 7), sharex=True, height_ratios=(3, 3, 1.5))[:, 0]
    loss, sharpness, eta = axes
    loss.plot(curves.step, curves.loss, color=LOSS, lw=1.4)
    if (shown := loss_extent(curves)) is not None:
        loss.set_ylim(shown)
    loss.set(yscale="log", ylabel="loss")

    axis = one_of("curvature_axis", curvature_axis, CURVATURE_AXES)
    heights = draw_curvature(curves, sharpness, axis)
    # The axis needs room above its highest value.
    eta.plot(curves.step, np.minimum(curves.eta, HIGHEST), color=ETA, lw=1.4)
    eta.set(ylabel=ETA_T, xlabel=counted)
    eta.set(xlim=(curves.step[0], last_step(curves)), ylim=(0, None))
    _mark(curves, events, loss, sharpness, heights)
    _mark_divergence(curves, events, axes)
    write_title(loss, _title(curves, events))
    describe(axes, run)
    return axes


def _mark(curves: Trajectory, events: Events, loss: Axes, sharpness: Axes, heights: Array) -> None:
    """Catapults and edges on both panels, and where they began."""
    spans = [(e.start, e.end, EDGE) for e in events.edges]
    spans += [(c.start, c.end, CATAPULT) for c in events.catapults]
    for first, last, color in spans:
        for panel in (loss, sharpness):
            panel.axvspan(curves.step[first], curves.step[last], color=color, lw=0, zorder=0)
    for catapult in events.catapults:
        peak = catapult.peak
        loss.plot(curves.step[peak], curves.loss[peak], marker="v", color=THRESHOLD, ms=5)
    begun = [c.crossing for c in events.apart if c.crossing >= 0] + [e.start for e in events.edges]
    if not begun:
        return
    sharpness.plot(
        curves.step[begun], heights[begun], ls="", marker="o", ms=6,
        markerfacecolor="none", color=THRESHOLD,
    )  # fmt: skip


def _mark_divergence(curves: Trajectory, events: Events, axes: Sequence[Axes]) -> None:
    if events.diverged < 0:
        return
    step = curves.at(events.diverged)
    for panel in axes:
        panel.axvline(step, color=THRESHOLD, lw=1, ls=":")
    axes[0].annotate(
        f"diverged at step {step}", (step, 0.05), xytext=(-4, 0), ha="right",
        xycoords=("data", "axes fraction"), textcoords="offset points",
    )  # fmt: skip


def _title(curves: Trajectory, events: Events) -> str:
    count = len(events.catapults)
    catapults = "no catapult" if not count else f"{count} catapult{'s' * (count > 1)} (grey)"
    edge = ", at the edge (blue)" if events.edges else ""
    known = curves.outcome != "unknown"
    return f"{curves.outcome.replace('_', ' ')}, " * known + f"{catapults}{edge}"
