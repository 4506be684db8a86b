"""Figures: functions from results to Axes. matplotlib is imported when one is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from simulator.checks import InputError
from simulator.sweeps.boundary import boundary, median, survived
from simulator.sweeps.spec import AXES

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from simulator.runs import Run

__all__ = ["new_axes", "phase_diagram", "save", "trajectory"]

FORMATS = (".png", ".svg", ".pdf")

# Told apart by lightness alone, so that they survive a greyscale print.
_LOSS, _SHARPNESS, _ETA, _THRESHOLD = "#08519c", "#a63603", "#238b45", "#252525"
# A loss may pass through 1e300 on its way out; nothing else would be seen beside that.
_BLOW_UP = 1e15
_DIVERGED, _STUCK = "#ffffff", "#e2e2e2"


def _pyplot() -> Any:
    import matplotlib as mpl

    # No window is ever opened, and the same figure is the same file.
    mpl.use("Agg", force=False)
    mpl.rcParams["svg.hashsalt"] = "warmup"
    import matplotlib.pyplot as plt

    return plt


def new_axes() -> Axes:
    """Empty Axes in a figure of their own."""
    axes: Axes = _pyplot().subplots(figsize=(7.5, 4.8), layout="constrained")[1]
    return axes


def trajectory(run: Run, axes: Sequence[Axes] | None = None) -> Sequence[Axes]:
    """Loss, sharpness with the threshold, and eta over the steps of a run; catapults shaded.

    Parameters
    ----------
    run : Run
    axes : three Axes, optional
        Default: a new figure.
    """
    plt = _pyplot()
    if axes is None:
        _, axes = plt.subplots(
            3, 1, sharex=True, figsize=(7, 7), height_ratios=(3, 3, 1.5), layout="constrained"
        )
    loss, sharpness, eta = axes
    step = np.arange(len(run.loss))

    loss.plot(step, run.loss, color=_LOSS, lw=1.4)
    positive = run.loss[run.loss > 0]
    if positive.size:
        loss.set_ylim(0.5 * positive.min(), 2 * min(positive.max(), _BLOW_UP * positive[0]))
    loss.set(yscale="log", ylabel="loss")

    _draw_sharpness(run, sharpness)
    adaptive = run.preconditioned_sharpness is not None
    sharpness.set(ylabel=r"$\lambda(P^{-1}H)$" if adaptive else r"sharpness $\lambda$")

    eta.plot(step, run.eta, color=_ETA, lw=1.4)
    eta.set(ylabel=r"$\eta_t$", xlabel="step (updates done before)", xlim=(0, len(step)))
    eta.set_ylim(bottom=0)

    for panel in (loss, sharpness):
        for catapult in run.catapults:
            panel.axvspan(catapult.start, catapult.end, color="#d9d9d9", lw=0, zorder=0)
    for catapult in run.catapults:
        loss.plot(catapult.peak, run.loss[catapult.peak], marker="v", color=_THRESHOLD, ms=5)
    if run.diverged:
        for panel in axes:
            panel.axvline(run.diverged_step, color=_THRESHOLD, lw=1, ls=":")
        loss.annotate(
            f"diverged at step {run.diverged_step}", (run.diverged_step, 0.05), xytext=(4, 0),
            xycoords=("data", "axes fraction"), textcoords="offset points",
        )  # fmt: skip
    loss.set_title(_run_title(run), fontsize="medium")
    return axes


def _draw_sharpness(run: Run, ax: Axes) -> None:
    """The sharpness that decides, and the dashed threshold where it is near it."""
    step = np.arange(len(run.loss))
    curve, adaptive = run.decisive_sharpness, run.preconditioned_sharpness is not None
    measured = np.isfinite(curve)
    if not measured.any():
        ax.text(0.5, 0.5, "not measured", transform=ax.transAxes, ha="center")
        return
    apart = np.diff(np.flatnonzero(measured)).max(initial=1) > 1
    ax.plot(
        step[measured], curve[measured], color=_SHARPNESS, lw=1.4, marker="." if apart else "",
        label=r"pre-conditioned sharpness" if adaptive else "sharpness",
    )  # fmt: skip
    # The threshold starts at infinity where eta starts at 0.
    values = curve[measured]
    top = 1.6 * min(values.max(), 20 * max(values[0], run.threshold[-1]))
    shown = np.where(run.threshold <= top, run.threshold, np.nan)
    limit = float(run.threshold[-1] * run.eta[-1])
    ax.plot(
        step, shown, color=_THRESHOLD, lw=1.2, ls="--", label=rf"threshold {limit:.3g} / $\eta_t$"
    )
    positive = values[values > 0]
    if adaptive and positive.size:
        # It falls by decades within the first updates.
        ax.set(yscale="log", ylim=(0.5 * positive.min(), top))
    elif top > 0:
        ax.set_ylim(0, top)
    ax.legend(loc="best", frameon=False)


def _run_title(run: Run) -> str:
    count = run.n_catapults
    catapults = "no catapult" if not count else f"{count} catapult{'s' * (count > 1)} (shaded)"
    return f"{run.outcome.replace('_', ' ')}, {catapults}"


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

    plt = _pyplot()
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
    ax.set_xlabel(r"$\eta_\mathrm{trgt}\ /\ \eta_c$" if critical else r"$\eta_\mathrm{trgt}$")
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


def check_format(path: Path) -> None:
    """Refuse a figure file that could not be written."""
    if path.is_dir():
        raise InputError("figure", path, "is a folder")
    if path.suffix.lower() not in FORMATS:
        raise InputError("figure", path, f"unknown format; end the name in {', '.join(FORMATS)}")
    if not path.absolute().parent.is_dir():
        raise InputError("figure", path, f"there is no folder {path.absolute().parent}")


def save(axes: Axes | Sequence[Axes], path: Path) -> None:
    """Write the figure of these axes to ``path``, in the format of its ending, and close it."""
    first = axes if hasattr(axes, "figure") else axes[0]
    figure: Figure = first.figure  # type: ignore[assignment]
    # No date: the same results make the same file.
    metadata = {".png": {}, ".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
    figure.savefig(path, dpi=160, metadata=metadata[path.suffix.lower()])
    _pyplot().close(figure)
