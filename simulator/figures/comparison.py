"""Several runs over one another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from simulator.checks import InputError
from simulator.events import Story
from simulator.figures.canvas import describe, pyplot, subplots
from simulator.figures.extent import last_step, loss_extent, scale_axis, sharpness_extent
from simulator.figures.of_a_run import HIGHEST
from simulator.figures.palette import THRESHOLD
from simulator.figures.style import Style, colormap, styled
from simulator.figures.symbols import ETA_T, UPDATES, sharpness_name
from simulator.trajectory import Trajectory

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["compare"]

# Learning rates that differ by more are seen on a logarithmic axis only.
_APART = 30.0


@styled
def compare(
    runs: Sequence[Trajectory | Story],
    labels: Sequence[str] | None = None,
    ax: Sequence[Axes] | None = None,
    *,
    style: Style | str | None = None,
) -> Sequence[Axes]:
    """Loss, sharpness and eta of several runs over their steps, each with its threshold dashed.

    Of a fork, the steps from ``forked_at`` on are drawn, where a dotted line is.

    Parameters
    ----------
    runs : sequence of Run, Trajectory or Story
    labels : sequence of str, optional
        One a run. Default: their numbers.
    ax : three Axes, optional
        For loss, sharpness and eta. Default: a new figure.
    style : Style or {"screen", "paper", "paper-wide"}, optional
        Its width is for a new figure. Default: that for a screen.

    Returns
    -------
    three Axes

    Raises
    ------
    InputError
        For no run, another number of labels than of runs, or another style.
    """
    every = [_curves(run) for run in runs]
    names = list(map(str, labels if labels is not None else range(1, len(every) + 1)))
    if not every:
        raise InputError("runs", "empty", "give one run or more")
    if len(names) != len(every):
        raise InputError(
            "labels", f"{len(names)} of them", f"give one for each of {len(every)} runs"
        )
    if ax is None:
        ax = subplots(3, 1, (7.5, 7.5), sharex=True, height_ratios=(3, 3, 1.5))[:, 0]
    loss, sharpness, eta = ax
    # Told apart by lightness, in order: a row of values of one option is a scale.
    colors = pyplot().get_cmap(colormap("viridis"))(np.linspace(0.0, 0.88, len(every)))
    tops = [e for c in every if (e := sharpness_extent(c)) is not None]
    highest = max((top for _, top in tops), default=np.inf)
    for curves, name, color in zip(every, names, colors, strict=True):
        step, measured = curves.step, np.isfinite(curves.shown_sharpness)
        apart = np.diff(np.flatnonzero(measured)).max(initial=1) > 1
        # Of a fork, what is its own: before, it is the other run.
        if curves.forked_at > 0:
            measured &= step >= curves.forked_at
            for panel in ax:
                panel.axvline(curves.forked_at, color=color, lw=1, ls=":")
        own = step >= curves.forked_at
        loss.plot(step[own], curves.loss[own], color=color, lw=1.4, label=name)
        sharpness.plot(
            step[measured], curves.shown_sharpness[measured], color=color, lw=1.4,
            marker="." if apart else "",
        )  # fmt: skip
        shown = np.where(curves.threshold <= highest, curves.threshold, np.nan)
        sharpness.plot(step[own], shown[own], color=color, lw=1, ls="--")
        eta.plot(step[own], np.minimum(curves.eta, HIGHEST)[own], color=color, lw=1.4)
    losses = [e for c in every if (e := loss_extent(c)) is not None]
    if losses:
        loss.set_ylim(min(low for low, _ in losses), max(high for _, high in losses))
    if tops:
        scale_axis(sharpness, tops)
    sharpness.plot([], [], color=THRESHOLD, lw=1, ls="--", label="thresholds")
    sharpness.legend(loc="best", frameon=False, fontsize="small")
    loss.set(yscale="log", ylabel="loss")
    sharpness.set(ylabel=sharpness_name(*(curves.adaptive for curves in every)))
    eta.set(ylabel=ETA_T, xlabel=UPDATES, xlim=(0, max(map(last_step, every))))
    rates = [top for c in every if (top := np.nanmax(c.eta, initial=0.0)) > 0.0]
    if rates and max(rates) > _APART * min(rates):
        eta.set(yscale="log")
    else:
        eta.set(ylim=(0, None))
    loss.legend(loc="best", frameon=False, fontsize="small")
    describe(ax, *runs)
    return ax


def _curves(run: Trajectory | Story) -> Trajectory:
    return run.curves if isinstance(run, Story) else run
