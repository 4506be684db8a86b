"""The phase diagram of a sweep."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from simulator.figures.canvas import pyplot
from simulator.figures.palette import DIVERGED, STUCK
from simulator.figures.sheet import Sheet, lay_out

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes

__all__ = ["phase_diagram"]


def phase_diagram(
    dataset: xr.Dataset,
    *,
    color: str = "loss_final",
    eta_init: int = 0,
    ax: Axes | None = None,
) -> Axes:
    """eta_trgt against t_wrm, coloured by a result; diverged and stuck cells set apart.

    A cell shows what most of its seeds did, and if they trained the median of those that did. The
    line is the median over seeds of the trainability boundary.

    Parameters
    ----------
    dataset : xarray.Dataset
        From `simulator.sweep` or a store.
    color : str
        Variable to colour by: ``loss_final`` or ``test_accuracy_final``, say.
    eta_init : int
        Index along eta_init.
    ax : Axes, optional
        Default: a new figure.
    """
    from matplotlib.patches import Patch

    sheet = lay_out(dataset, color, eta_init)
    if ax is None:
        _, ax = pyplot().subplots(figsize=(8, 4.6), layout="constrained")
    is_loss = "loss" in color
    mesh = ax.pcolormesh(
        sheet.x_edges, sheet.y_edges, sheet.middle,
        norm=_norm(sheet.middle, logarithmic=is_loss),
        cmap="viridis_r" if is_loss else "viridis",  # a small loss is as bright as a high accuracy
    )  # fmt: skip
    ax.figure.colorbar(mesh, ax=ax, label=_label(dataset, color), pad=0.02)

    handles = []
    for cells, name, face, hatch in (
        (sheet.diverged, "diverged", DIVERGED, "xxx"),
        (sheet.stuck, "stuck (finite, not trained)", STUCK, "..."),
    ):
        _patches(ax, cells, sheet, face, hatch)
        if cells.any():
            handles.append(
                Patch(facecolor=face, edgecolor="#555555", hatch=hatch, lw=0.5, label=name)
            )
    handles.append(_draw_boundary(ax, sheet))

    ax.set(
        xscale="log", yscale="log", xlim=sheet.x_edges[[0, -1]], ylim=sheet.y_edges[[0, -1]]
    )  # fmt: skip
    critical = dataset["eta_trgt"].attrs.get("units") == "eta_critical"
    ax.set_xlabel(
        r"$\eta_\mathrm{trgt}\ /\ \eta_\mathrm{critical}$" if critical else r"$\eta_\mathrm{trgt}$"
    )
    ax.set_ylabel(r"$T_\mathrm{wrm}$ (updates)")
    _plain_ticks(ax, dataset["t_wrm"].values)
    seeds = dataset.sizes["seed"]
    ax.set_title(f"{seeds} seed{'s' * (seeds > 1)} a cell", fontsize="medium", loc="left")
    ax.legend(
        handles=handles, loc="lower right", bbox_to_anchor=(1, 1.01), ncols=3, frameon=False,
        fontsize="small", borderaxespad=0,
    )  # fmt: skip
    return ax


def _draw_boundary(ax: Axes, sheet: Sheet) -> Any:
    """The right edge of the last trainable cell of each row, as one line up the diagram."""
    from matplotlib import patheffects

    (line,) = ax.plot(
        np.repeat(sheet.right, 2), np.repeat(sheet.y_edges, 2)[1:-1], color="black", lw=2.2,
        label="trainability boundary",
    )  # fmt: skip
    line.set_path_effects([patheffects.withStroke(linewidth=4.2, foreground="white")])
    return line


def _patches(ax: Axes, cells: NDArray[Any], sheet: Sheet, face: str, hatch: str) -> None:
    from matplotlib.patches import Rectangle

    x, y = sheet.x_edges, sheet.y_edges

    # One for all neighbours in a row: of a fine grid, one for each would take minutes to draw.
    ends = np.diff(cells.astype(int), axis=1, prepend=0, append=0)
    rows, first = np.nonzero(ends > 0)
    for row, column, end in zip(rows, first, np.nonzero(ends < 0)[1], strict=True):
        corner = (x[column], y[row])
        size = (x[end] - x[column], y[row + 1] - y[row])
        ax.add_patch(
            Rectangle(corner, *size, facecolor=face, edgecolor="#7a7a7a", hatch=hatch, lw=0.0)
        )


def _norm(values: NDArray[Any], *, logarithmic: bool) -> Any:
    from matplotlib.colors import LogNorm, Normalize

    finite = values[np.isfinite(values)]
    if logarithmic and finite.size and finite.min() > 0:
        return LogNorm(finite.min(), max(finite.max(), finite.min() * 1.001))
    return Normalize(*((finite.min(), finite.max()) if finite.size else (0, 1)))


def _label(dataset: xr.Dataset, color: str) -> str:
    name = str(dataset[color].attrs.get("long_name", color))
    return f"{name}\n(median over seeds)" if dataset.sizes["seed"] > 1 else name


def _plain_ticks(ax: Axes, y: NDArray[Any]) -> None:
    """Powers of two as plain numbers, and the t_wrm that were run."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

    plain = FuncFormatter(lambda value, _: f"{value:g}")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter(plain)
        axis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_locator(LogLocator(base=2, numticks=12))
    ax.yaxis.set_major_locator(FixedLocator(list(y[:: len(y) // 14 + 1])))
