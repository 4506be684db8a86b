"""The phase diagram of a sweep."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from simulator.checks import InputError
from simulator.figures.canvas import pyplot
from simulator.sweeps.boundary import boundary, median, survived
from simulator.sweeps.spec import AXES

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes

__all__ = ["phase_diagram"]

_DIVERGED, _STUCK = "#ffffff", "#e2e2e2"


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

    plt = pyplot()
    if color not in dataset or dataset[color].dtype.kind != "f" or dataset[color].dims != AXES:
        raise InputError("color", color, "give a variable of real numbers, loss_final say")
    if ax is None:
        _, ax = plt.subplots(figsize=(8, 4.6), layout="constrained")
    sheet = dataset.isel(eta_init=eta_init).transpose("seed", "t_wrm", "eta_trgt", ...)
    x, y = sheet["eta_trgt"].values, sheet["t_wrm"].values
    done = (sheet["status"] == "done").values
    trained = survived(sheet).values & done
    diverged = sheet["diverged"].values & done
    most = 0.5 * done.sum(axis=0)

    values = np.where(trained, sheet[color].values, np.nan)
    shown = trained.sum(axis=0) > most
    middle = np.full(shown.shape, np.nan)
    middle[shown] = np.nanmedian(values[:, shown], axis=0)

    x_edges, y_edges = _edges(x), _edges(y)
    is_loss = "loss" in color
    mesh = ax.pcolormesh(
        x_edges, y_edges, middle, norm=_norm(middle, logarithmic=is_loss),
        cmap="viridis_r" if is_loss else "viridis",  # a small loss is as bright as a high accuracy
    )  # fmt: skip
    ax.figure.colorbar(mesh, ax=ax, label=_label(dataset, color), pad=0.02)

    failed = ~shown & done.any(axis=0)
    mostly_diverged = failed & (diverged.sum(axis=0) >= (done & ~trained & ~diverged).sum(axis=0))
    handles = []
    for cells, name, face, hatch in (
        (mostly_diverged, "diverged", _DIVERGED, "xxx"),
        (failed & ~mostly_diverged, "stuck (finite, not trained)", _STUCK, "..."),
    ):
        _patches(ax, cells, x_edges, y_edges, face, hatch)
        if cells.any():
            handles.append(
                Patch(facecolor=face, edgecolor="#555555", hatch=hatch, lw=0.5, label=name)
            )
    handles.append(_draw_boundary(ax, sheet, x_edges, y_edges))

    ax.set(xscale="log", yscale="log", xlim=x_edges[[0, -1]], ylim=y_edges[[0, -1]])
    critical = dataset["eta_trgt"].attrs.get("units") == "eta_critical"
    ax.set_xlabel(
        r"$\eta_\mathrm{trgt}\ /\ \eta_\mathrm{critical}$" if critical else r"$\eta_\mathrm{trgt}$"
    )
    ax.set_ylabel(r"$T_\mathrm{wrm}$ (updates)")
    _plain_ticks(ax, x, y)
    seeds = sheet.sizes["seed"]
    ax.set_title(f"{seeds} seed{'s' * (seeds > 1)} a cell", fontsize="medium", loc="left")
    ax.legend(
        handles=handles, loc="lower right", bbox_to_anchor=(1, 1.01), ncols=3, frameon=False,
        fontsize="small", borderaxespad=0,
    )  # fmt: skip
    return ax


def _draw_boundary(
    ax: Axes, sheet: xr.Dataset, x_edges: NDArray[Any], y_edges: NDArray[Any]
) -> Any:
    """The right edge of the last trainable cell of each row, as one line up the diagram."""
    from matplotlib import patheffects

    edge = median(boundary(sheet)).transpose("t_wrm").values
    x = sheet["eta_trgt"].values
    right = x_edges[np.searchsorted(x, np.nan_to_num(edge), side="right")]
    right[np.isnan(edge)] = np.nan
    (line,) = ax.plot(
        np.repeat(right, 2), np.repeat(y_edges, 2)[1:-1], color="black", lw=2.2,
        label="trainability boundary",
    )  # fmt: skip
    line.set_path_effects([patheffects.withStroke(linewidth=4.2, foreground="white")])
    return line


def _patches(
    ax: Axes, cells: NDArray[Any], x: NDArray[Any], y: NDArray[Any], face: str, hatch: str
) -> None:
    from matplotlib.patches import Rectangle

    # One for all neighbours in a row: of a fine grid, one for each would take minutes to draw.
    ends = np.diff(cells.astype(int), axis=1, prepend=0, append=0)
    rows, first = np.nonzero(ends > 0)
    for row, column, end in zip(rows, first, np.nonzero(ends < 0)[1], strict=True):
        corner = (x[column], y[row])
        size = (x[end] - x[column], y[row + 1] - y[row])
        ax.add_patch(
            Rectangle(corner, *size, facecolor=face, edgecolor="#7a7a7a", hatch=hatch, lw=0.0)
        )


def _edges(centres: NDArray[Any]) -> NDArray[np.float64]:
    """Cell edges halfway between positive centres on a log axis."""
    logs = np.log(np.asarray(centres, dtype=float))
    if logs.size == 1:
        return np.exp(logs[0] + np.array([-0.5, 0.5]))
    inner = 0.5 * (logs[1:] + logs[:-1])
    return np.exp(np.concatenate([[2 * logs[0] - inner[0]], inner, [2 * logs[-1] - inner[-1]]]))


def _norm(values: NDArray[Any], *, logarithmic: bool) -> Any:
    from matplotlib.colors import LogNorm, Normalize

    finite = values[np.isfinite(values)]
    if logarithmic and finite.size and finite.min() > 0:
        return LogNorm(finite.min(), max(finite.max(), finite.min() * 1.001))
    return Normalize(*((finite.min(), finite.max()) if finite.size else (0, 1)))


def _label(dataset: xr.Dataset, color: str) -> str:
    name = str(dataset[color].attrs.get("long_name", color))
    return f"{name}\n(median over seeds)" if dataset.sizes["seed"] > 1 else name


def _plain_ticks(ax: Axes, x: NDArray[Any], y: NDArray[Any]) -> None:
    """Powers of two as plain numbers, and the t_wrm that were run."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

    plain = FuncFormatter(lambda value, _: f"{value:g}")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter(plain)
        axis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_locator(LogLocator(base=2, numticks=12))
    ax.yaxis.set_major_locator(FixedLocator(list(y[:: len(y) // 14 + 1])))
