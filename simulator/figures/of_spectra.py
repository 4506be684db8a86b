"""The spectrum along a run: its density over the steps, and how well-conditioned it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from simulator.arrays import Array
from simulator.figures.canvas import describe, subplots
from simulator.figures.extent import last_step
from simulator.figures.of_a_run import trajectory
from simulator.figures.palette import FULL, LOSS, SHARPNESS, THRESHOLD
from simulator.figures.room import is_narrow
from simulator.figures.style import Style, colormap, styled
from simulator.figures.symbols import UPDATES, sharpness_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from simulator.training import Spectra

__all__ = ["spectra", "with_spectra"]

_BINS = 40
# Beyond this fraction of the largest eigenvalue the axis is logarithmic in both directions.
_LINEAR = 3e-2


@styled
def spectra(
    spectra: Spectra, axes: Sequence[Axes] | None = None, *, style: Style | str | None = None
) -> Sequence[Axes]:
    """Density of the eigenvalues over the steps of a run, and its condition.

    In the first panel grey is the number of eigenvalues in a bin, on a logarithmic scale; dots are
    the leading ones, which are found one by one; the line is the largest, hollow where it did not
    converge; dashed is the optimizer's stability limit. The axis is linear near 0 and logarithmic
    beyond. The second panel shows the largest eigenvalue over the root mean square of the bulk, and
    the effective rank, each with its standard error.

    Parameters
    ----------
    spectra : Spectra
    axes : two Axes, optional
        Default: a new figure.
    style : Style or {"screen", "paper", "paper-wide"}, optional
        Its width is for a new figure. Default: that for a screen.

    Returns
    -------
    two Axes

    Raises
    ------
    InputError
        For another style.
    """
    if axes is None:
        axes = subplots(2, 1, (7, 6), sharex=True, height_ratios=(3, 2))[:, 0]
    _draw_density(spectra, axes[0])
    _draw_condition(spectra, axes[1])
    axes[1].set(xlim=(0, last_step(spectra.run)), xlabel=UPDATES)
    describe(axes, spectra)
    return axes


@styled
def with_spectra(
    found: Spectra, *, curvature_axis: str = "ratio", style: Style | str | None = None
) -> Sequence[Axes]:
    """The trajectory of a run in a new figure, and its spectra below.

    Parameters
    ----------
    found : Spectra
    curvature_axis : {"ratio", "absolute"}
    style : Style or {"screen", "paper", "paper-wide"}, optional
        As in `simulator.figures.trajectory`.

    Returns
    -------
    five Axes

    Raises
    ------
    InputError
        For another curvature axis or style.
    """
    axes = subplots(5, 1, (7.5, 12), sharex=True, height_ratios=(3, 3, 1.5, 4, 2.5))[:, 0]
    trajectory(found.run, axes[:3], curvature_axis=curvature_axis)
    axes[2].set(xlabel="")
    spectra(found, axes[3:])
    return list(axes)


def _draw_density(spectra: Spectra, ax: Axes) -> None:
    from matplotlib.colors import LogNorm

    step, top = spectra.step, spectra.top
    largest = float(np.nanmax(np.abs(top), initial=0.0)) or 1.0
    lowest = min((_lowest(one.values, one.nodes) for one in spectra.spectra), default=0.0)
    # A power of ten, so that no tick lies within.
    linear = 10.0 ** np.floor(np.log10(_LINEAR * largest))
    edges = _edges(1.3 * min(lowest, 0.0), 1.3 * largest, linear)
    counts = np.array([one.histogram(edges) for one in spectra.spectra])
    ends = np.append(step, len(spectra.run.loss))
    mesh = ax.pcolormesh(
        ends, edges, np.where(counts > 0, counts, np.nan).T, cmap=colormap("Greys"), shading="flat",
        norm=LogNorm(0.3, max(counts.max(initial=1.0), 1.0)), rasterized=True,
    )  # fmt: skip
    ax.figure.colorbar(mesh, ax=ax, label="eigenvalues per bin", pad=0.01)
    ax.plot(step, top[:, 1:], ls="", marker=".", ms=2.5, color=FULL, zorder=3)
    name = sharpness_name(spectra.run.adaptive)
    ax.plot(step, top[:, 0], color=SHARPNESS, lw=1.4, marker=".", ms=4, label=name, zorder=4)
    doubtful = ~spectra.curve("converged")
    if doubtful.any():
        ax.plot(
            step[doubtful], top[doubtful, 0], ls="", marker="s", ms=5, color=SHARPNESS,
            markerfacecolor="none", label="not converged", zorder=4,
        )  # fmt: skip
    threshold = np.where(spectra.run.threshold <= edges[-1], spectra.run.threshold, np.nan)
    ax.plot(spectra.run.step, threshold, color=THRESHOLD, lw=1.2, ls="--", label="stability limit")
    ax.set_yscale("symlog", linthresh=linear, linscale=0.6)
    ax.set(ylim=(edges[0], edges[-1]), ylabel="eigenvalue")
    ax.yaxis.set_major_formatter("{x:g}")
    ax.legend(loc="lower right", fontsize="small", ncols=1 if is_narrow([ax]) else 2)


def _lowest(values: Array, nodes: Array) -> float:
    return float(np.nanmin(np.append(values, nodes), initial=0.0))


def _edges(low: float, high: float, linear: float) -> Array:
    """Edges of bins of one height on an axis that is linear up to ``linear``, then logarithmic."""

    def height(value: float) -> float:
        return float(np.sign(value) * np.log1p(abs(value) / linear))

    at = np.linspace(height(low), height(high), _BINS + 1)
    edges: Array = np.sign(at) * np.expm1(np.abs(at)) * linear
    return edges


def _draw_condition(spectra: Spectra, ax: Axes) -> None:
    shown = (
        ("top_to_bulk", "largest / rms of bulk (circles)", ax, LOSS, "o"),
        ("effective_rank", "effective rank (triangles)", ax.twinx(), SHARPNESS, "^"),
    )
    for name, label, panel, color, marker in shown:
        panel.errorbar(
            spectra.step, spectra.curve(name), yerr=spectra.curve(f"{name}_error"), color=color,
            lw=1.2, marker=marker, ms=3, elinewidth=1, capsize=2,
        )  # fmt: skip
        panel.set(ylim=(0, None))
        panel.set_ylabel(label, color=color, fontsize="small")
