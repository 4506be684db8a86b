"""The phase diagram of a sweep, or small multiples of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.arrays import Array
from simulator.checks import InputError, one_of
from simulator.figures.canvas import pyplot
from simulator.figures.palette import DIVERGED, STUCK
from simulator.figures.sheet import Sheet, is_logarithmic, lay_out
from simulator.sweeps.over import text_of

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes

__all__ = ["MOST_PANELS", "phase_diagram"]

MOST_PANELS = 64
_NAMES = {"t_wrm": r"$T_\mathrm{wrm}$ (updates)", "eta_init": r"$\eta_\mathrm{init}$",
          "eta_trgt": r"$\eta_\mathrm{trgt}$"}  # fmt: skip


def phase_diagram(
    dataset: xr.Dataset,
    *,
    color: str = "loss_final",
    eta_init: int = 0,
    x: str = "eta_trgt",
    y: str = "t_wrm",
    rows: str | None = None,
    columns: str | None = None,
    ax: Axes | None = None,
) -> Axes | list[Axes]:
    """Two dimensions of a sweep, coloured by a result; diverged and stuck cells set apart.

    A cell shows what most of its seeds did, and if they trained the median of those that did. The
    line is the median over seeds of the trainability boundary, where eta_trgt is x or y.

    Parameters
    ----------
    dataset : xarray.Dataset
        From `simulator.sweep` or a store.
    color : str
        Variable to colour by: ``loss_final`` or ``test_accuracy_final``, say.
    eta_init : int
        Index along eta_init, where that is no dimension of the figure.
    x, y : str
        Dimensions of a diagram.
    rows, columns : str, optional
        Dimensions along which there is a diagram for each value, all with one scale of colours. By
        default those that are left and have more than one value.
    ax : Axes, optional
        For one diagram. Default: a new figure.

    Returns
    -------
    Axes, or a list of them row by row where there is more than one diagram

    Raises
    ------
    InputError
        For dimensions that the dataset has not, or that find no place in the figure.
    """
    if not {x, y, rows, columns} & {"eta_init"}:
        dataset = dataset.isel(eta_init=[eta_init])
    rows, columns = _facets(dataset, x, y, rows, columns)
    panels = _panels(dataset, rows, columns)
    if ax is not None and len(panels) > 1:
        raise InputError("ax", "given", f"there are {len(panels)} diagrams; leave it out")
    across = dataset.sizes[columns] if columns else 1
    if ax is None:
        down = len(panels) // across
        size = (8, 4.6) if len(panels) == 1 else (1.2 + 3.1 * across, 1.1 + 2.5 * down)
        axes = pyplot().subplots(
            down, across, figsize=size, sharex=True, sharey=True, squeeze=False,
            layout="constrained",
        )[1].ravel()  # fmt: skip
    else:
        axes = np.array([ax])
    sheets = [lay_out(part, color, x, y) for part in panels]
    _draw(dataset, color, (x, y), sheets, axes)
    for index, panel in enumerate(axes):
        _label(dataset, panel, (x, y), bottom=index >= len(axes) - across, left=not index % across)
        if len(axes) > 1:
            panel.set_title(_caption(panels[index], rows, columns), fontsize="small")
    if len(axes) == 1:
        axes[0].set_title(_seeds(dataset), fontsize="medium", loc="left")
        return axes[0]  # type: ignore[no-any-return]
    return list(axes)


def _facets(
    dataset: xr.Dataset, x: str, y: str, rows: str | None, columns: str | None
) -> tuple[str | None, str | None]:
    """What rows and columns are, once every dimension has its place."""
    known = [str(name) for name in dataset["status"].dims if name != "seed"]
    given = {"x": x, "y": y, "rows": rows, "columns": columns}
    chosen = [one_of(option, name, known) for option, name in given.items() if name is not None]
    for name in chosen:
        if chosen.count(name) > 1:
            raise InputError(name, "given twice", "give each dimension one place")
    left = [name for name in known if name not in chosen and dataset.sizes[name] > 1]
    if left and columns is None:
        columns = left.pop(0)
    if left and rows is None:
        rows = left.pop(0)
    if left:
        raise InputError("where", f"without {left[0]}", f"give {left[0]}=…, one of its values")
    count = np.prod([dataset.sizes[name] for name in (rows, columns) if name])
    if count > MOST_PANELS:
        raise InputError("rows", rows, f"makes {count} diagrams; give at most {MOST_PANELS}")
    return rows, columns


def _panels(dataset: xr.Dataset, rows: str | None, columns: str | None) -> list[xr.Dataset]:
    """The part of each diagram, row by row."""
    parts = [dataset]
    for name in (rows, columns):
        if name is not None:
            parts = [part.isel({name: [i]}) for part in parts for i in range(part.sizes[name])]
    return parts


def _draw(
    dataset: xr.Dataset, color: str, dimensions: tuple[str, str], sheets: list[Sheet], axes: Any
) -> None:
    """The cells of every diagram on one scale, with one colour bar and one legend."""
    from matplotlib.patches import Patch

    is_loss = "loss" in color
    norm = _norm(np.concatenate([s.middle.ravel() for s in sheets]), logarithmic=is_loss)
    handles: dict[str, Any] = {}
    for sheet, ax in zip(sheets, axes, strict=True):
        mesh = ax.pcolormesh(
            sheet.x_edges, sheet.y_edges, sheet.middle, norm=norm,
            cmap="viridis_r" if is_loss else "viridis",  # a small loss is bright, as high accuracy
        )  # fmt: skip
        for cells, name, face, hatch in (
            (sheet.diverged, "diverged", DIVERGED, "xxx"),
            (sheet.stuck, "stuck (finite, not trained)", STUCK, "..."),
        ):
            _patches(ax, cells, sheet, face, hatch)
            if cells.any():
                handles[name] = Patch(
                    facecolor=face, edgecolor="#555555", hatch=hatch, lw=0.5, label=name
                )
        if sheet.boundary.size:
            handles["boundary"] = _draw_boundary(ax, sheet, upright=dimensions[0] == "eta_trgt")
    order = [h for name in ("diverged", "stuck (finite, not trained)", "boundary")
             if (h := handles.get(name)) is not None]  # fmt: skip
    figure = axes[0].figure
    figure.colorbar(mesh, ax=list(axes), label=_color_label(dataset, color), pad=0.02)
    style: dict[str, Any] = {
        "handles": order, "ncols": 3, "frameon": False, "fontsize": "small", "borderaxespad": 0,
    }  # fmt: skip
    if len(axes) == 1:
        axes[0].legend(loc="lower right", bbox_to_anchor=(1, 1.01), **style)
    else:
        figure.legend(loc="outside upper right", **style)
        figure.suptitle(_seeds(dataset), x=0.01, ha="left", fontsize="small")


def _label(
    dataset: xr.Dataset, ax: Axes, dimensions: tuple[str, str], *, bottom: bool, left: bool
) -> None:
    """Scales, ticks and names of the two dimensions."""
    x, y = dimensions
    for name, axis, shown in ((x, "x", bottom), (y, "y", left)):
        values = dataset[name].values
        logarithmic = is_logarithmic(values)
        ax.set(**{f"{axis}scale": "log" if logarithmic else "linear"})  # type: ignore[arg-type]
        _ticks(getattr(ax, f"{axis}axis"), name, values)
        if shown:
            critical = dataset[name].attrs.get("units") == "eta_critical"
            text = _NAMES.get(name, name.replace("_", " "))
            text += r"$\ /\ \eta_\mathrm{critical}$" * critical
            ax.set(**{f"{axis}label": text})  # type: ignore[arg-type]


def _caption(part: xr.Dataset, rows: str | None, columns: str | None) -> str:
    """Which diagram of several it is."""
    texts = []
    for name in filter(None, (rows, columns)):
        shown = name if name in _NAMES else name.replace("_", " ")
        texts.append(f"{shown} {text_of(part[name].values[0])}")
    return ", ".join(texts)


def _seeds(dataset: xr.Dataset) -> str:
    seeds = dataset.sizes["seed"]
    return f"{seeds} seed{'s' * (seeds > 1)} a cell"


def _draw_boundary(ax: Axes, sheet: Sheet, *, upright: bool) -> Any:
    """The far edge of the last trainable cell of each row or column, as one line."""
    from matplotlib import patheffects

    far, edges = np.repeat(sheet.boundary, 2), sheet.y_edges if upright else sheet.x_edges
    near = np.repeat(edges, 2)[1:-1]
    (line,) = ax.plot(
        *((far, near) if upright else (near, far)), color="black", lw=2.2,
        label="trainability boundary",
    )  # fmt: skip
    line.set_path_effects([patheffects.withStroke(linewidth=4.2, foreground="white")])
    ax.set(xlim=sheet.x_edges[[0, -1]], ylim=sheet.y_edges[[0, -1]])
    return line


def _patches(ax: Axes, cells: Array, sheet: Sheet, face: str, hatch: str) -> None:
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


def _norm(values: Array, *, logarithmic: bool) -> Any:
    from matplotlib.colors import LogNorm, Normalize

    finite = values[np.isfinite(values)]
    if logarithmic and finite.size and finite.min() > 0:
        return LogNorm(finite.min(), max(finite.max(), finite.min() * 1.001))
    return Normalize(*((finite.min(), finite.max()) if finite.size else (0, 1)))


def _color_label(dataset: xr.Dataset, color: str) -> str:
    name = str(dataset[color].attrs.get("long_name", color))
    return f"{name}\n(median over seeds)" if dataset.sizes["seed"] > 1 else name


def _ticks(axis: Any, name: str, values: Array) -> None:
    """Powers of two as plain numbers; of other dimensions the values that were run."""
    from matplotlib.ticker import (
        FixedFormatter,
        FixedLocator,
        FuncFormatter,
        LogLocator,
        NullLocator,
    )

    axis.set_minor_locator(NullLocator())
    if not is_logarithmic(values):
        axis.set_major_locator(FixedLocator(range(len(values))))
        axis.set_major_formatter(FixedFormatter([text_of(value) for value in values]))
        return
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    few = list(values[:: len(values) // 14 + 1])
    is_eta = name.startswith("eta")
    # Multiples of a unit are powers of two, absolute rates as small as these powers of ten.
    base = 2 if values.min() >= 0.05 else 10
    axis.set_major_locator(LogLocator(base=base, numticks=12) if is_eta else FixedLocator(few))
