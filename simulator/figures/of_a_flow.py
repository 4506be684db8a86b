"""A central flow over its run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.arrays import Array
from simulator.checks import InputError
from simulator.figures.canvas import describe, subplots
from simulator.figures.extent import last_step, loss_extent, scale_axis, sharpness_extent
from simulator.figures.of_a_run import HIGHEST
from simulator.figures.palette import ETA, LOSS, SHARPNESS, THRESHOLD
from simulator.figures.style import Style, styled, write_title
from simulator.figures.symbols import ETA_T, UPDATES, sharpness_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from simulator.flows import Flow

__all__ = ["flow"]

# The run itself: thin, and light enough to be told from the flow without colour.
_RUN: dict[str, Any] = {"lw": 0.8, "color": "#9e9e9e", "zorder": 1}
_HEAVY = 2.2


@styled
def flow(
    flow: Flow, axes: Sequence[Axes] | None = None, *, style: Style | str | None = None
) -> Sequence[Axes]:
    """Loss, sharpness, eta and distance of a central flow, with the run beside it.

    The run is thin and grey, the flow heavy. The dotted loss is that of the centre alone. In the
    last panel the distances of the central and of the stable flow from the run are fractions of the
    run's path; the steps are the number of directions that oscillate.

    Parameters
    ----------
    flow : Flow
        With its run.
    axes : four Axes, optional
        Default: a new figure.
    style : Style or {"screen", "paper", "paper-wide"}, optional
        Its width is for a new figure. Default: that for a screen.

    Returns
    -------
    four Axes

    Raises
    ------
    InputError
        For a flow without its run, or another style.
    """
    if flow.run is None:
        raise InputError("flow", "without its run", "follow it with beside=True")
    if axes is None:
        axes = subplots(4, 1, (7, 9), sharex=True, height_ratios=(3, 3, 1.2, 2.2))[:, 0]
    loss, sharpness, eta, distance = axes
    step, run = flow.run.step, flow.run
    loss.plot(step, run.loss, label="run", **_RUN)
    loss.plot(step, flow.predicted_loss, color=LOSS, lw=_HEAVY, label="central flow, predicted")
    loss.plot(step, flow.loss, color=LOSS, lw=1.2, ls=":", label="its centre alone")
    loss.set(yscale="log", ylabel="loss")
    write_title(loss, _title(flow))
    if (shown := loss_extent(run)) is not None:
        loss.set_ylim(min(shown[0], 0.7 * _least(flow.loss, shown[0])), shown[1])

    extent = sharpness_extent(run)
    top = np.inf if extent is None else extent[1]
    sharpness.plot(step, run.effective_sharpness, label="run", **_RUN)
    sharpness.plot(step, flow.sharpness, color=SHARPNESS, lw=_HEAVY, label="central flow")
    threshold = np.where(flow.threshold <= top, flow.threshold, np.nan)
    label = "threshold " + flow.limit.formula(ETA_T)
    sharpness.plot(step, threshold, color=THRESHOLD, lw=1.0, ls="--", zorder=3, label=label)
    if extent is not None:
        scale_axis(sharpness, [extent])
    sharpness.set(ylabel=sharpness_name(run.adaptive))

    eta.plot(step, np.minimum(flow.eta, HIGHEST), color=ETA, lw=1.4)
    eta.set(ylabel=ETA_T, ylim=(0, None))
    _draw_distance(flow, distance)
    for panel in (loss, sharpness):
        panel.legend(loc="best", frameon=False, fontsize="small")
    distance.set(xlim=(0, last_step(run)), xlabel=UPDATES)
    describe(axes, flow)
    return axes


def _least(values: Array, default: float) -> float:
    positive = values[(values > 0) & np.isfinite(values)]
    return float(positive.min()) if positive.size else default


def _draw_distance(flow: Flow, ax: Axes) -> None:
    """Distances over the path, in percent, and the rank in steps."""
    assert flow.run is not None
    step = flow.run.step
    # At first both are 0.
    path = np.where(flow.path > 1e-2 * np.nanmax(flow.path, initial=0.0), flow.path, np.nan)
    rank = ax.twinx()
    rank.fill_between(step, flow.rank, step="post", color="#e0e0e0", lw=0)
    rank.set(ylabel="rank", ylim=(0, max(2, 2 * int(flow.rank.max()))))
    rank.locator_params(axis="y", integer=True)
    # The distances lie over the steps.
    ax.set_zorder(rank.get_zorder() + 1)
    ax.patch.set_visible(False)
    ax.plot(
        step, flow.stable_distance / path, color=THRESHOLD, lw=1.2, ls="-.", label="stable flow"
    )
    ax.plot(step, flow.distance / path, color=LOSS, lw=_HEAVY, label="central flow")
    ax.set(ylabel="distance / path", ylim=(0, None))
    ax.legend(loc="best", frameon=False, fontsize="small")


def _title(flow: Flow) -> str:
    if flow.first_contact < 0:
        return "never at the edge: flow and run are the same"
    doubts = len(flow.doubts)
    said = "no doubt" if not doubts else f"{doubts} doubt{'s' * (doubts > 1)}"
    kappa = rf"$\kappa_1$ = {flow.kappa_1:.2g}"
    behind = f", from step {flow.start}" if flow.start else ""
    return f"central flow{behind}, {kappa}, {said}"
