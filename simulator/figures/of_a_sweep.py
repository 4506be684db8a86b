"""The phase diagram of a sweep, or small multiples of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.arrays import Array
from simulator.checks import InputError, one_of
from simulator.figures.canvas import describe, subplots
from simulator.figures.color_bar import draw_bar
from simulator.figures.colors import scale_of
from simulator.figures.palette import DIVERGED, STUCK
from simulator.figures.room import em, room_for
from simulator.figures.sheet import Sheet, is_logarithmic, lay_out
from simulator.figures.style import Style, styled
from simulator.figures.symbols import axis_name, labelled
from simulator.figures.ticks import place_ticks

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes

__all__ = ["MOST_PANELS", "phase_diagram"]

MOST_PANELS = 64
# Kinds of cells without a colour, and the line: in full, and where there is little room.
_KINDS = {
    "diverged": "diverged", "stuck": "stuck (finite, not trained)",
    "boundary": "trainability boundary",
}  # fmt: skip


@styled
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
    style: Style | str | None = None,
) -> Axes | list[Axes]:
    """Two dimensions of a sweep, coloured by a result; diverged and stuck cells set apart.

    A cell shows what most of its seeds did, and if they trained the median of those that did: of
    counts the lower median, of outcomes and natural phases the most frequent one. If a few cells
    would take up most of the colours, they lie beyond an end of the scale, which is an arrow. The
    line is the median over seeds of the trainability boundary, where eta_trgt is x or y.

    Parameters
    ----------
    dataset : xarray.Dataset
        From `simulator.sweep` or a store.
    color : str
        Variable to colour by: ``loss_final``, ``n_catapults`` or ``outcome``, for example.
    eta_init : int
        Index along eta_init, where that is no dimension of the figure.
    x, y : str
        Dimensions of a diagram.
    rows, columns : str, optional
        Dimensions along which there is a diagram for each value, all with one scale of colours. By
        default those that are left and have more than one value.
    ax : Axes, optional
        For one diagram. Default: a new figure.
    style : Style or {"screen", "paper", "paper-wide"}, optional
        Its width is for a new figure. Default: that for a screen.

    Returns
    -------
    Axes, or a list of them row by row where there is more than one diagram

    Raises
    ------
    InputError
        For dimensions that the dataset has not, or that find no place in the figure; for a colour
        that is no number, count or word of each run; for another style.
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
        axes = subplots(down, across, size, sharex=True, sharey=True).ravel()
    else:
        axes = np.array([ax])
    sheets = [lay_out(part, color, x, y) for part in panels]
    _draw(dataset, color, (x, y), sheets, axes)
    for index, panel in enumerate(axes):
        _label(dataset, panel, (x, y), bottom=index >= len(axes) - across, left=not index % across)
        if len(axes) > 1:
            where = {name: panels[index][name].values[0] for name in (rows, columns) if name}
            panel.set_title(labelled(where), fontsize="small")
    describe(axes, dataset)
    return axes[0] if len(axes) == 1 else list(axes)


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

    scale = scale_of(sheets, is_loss="loss" in color)
    handles: dict[str, Any] = {}
    for sheet, ax in zip(sheets, axes, strict=True):
        mesh = ax.pcolormesh(
            sheet.x_edges, sheet.y_edges, np.maximum(sheet.middle, scale.least), norm=scale.norm,
            cmap=scale.cmap,
        )  # fmt: skip
        for cells, name, face, hatch in (
            (sheet.diverged, "diverged", DIVERGED, "xxx"), (sheet.stuck, "stuck", STUCK, "..."),
        ):  # fmt: skip
            _patches(ax, cells, sheet, face, hatch)
            if cells.any():
                handles[name] = Patch(facecolor=face, edgecolor="#555555", hatch=hatch, lw=0.5)
        if sheet.boundary.size:
            handles["boundary"] = _draw_boundary(ax, sheet, upright=dimensions[0] == "eta_trgt")
    # Some long names end in an explanation.
    name, of = str(dataset[color].attrs.get("long_name", color)).partition(": ")[0], ""
    if (seeds := dataset.sizes["seed"]) > 1:
        of = f"({'most' if sheets[0].words else 'median'} of {seeds} seeds)"
    bar = draw_bar(mesh, axes, scale, name, of)
    if handles:
        _draw_legend(axes, {name: handles[name] for name in _KINDS if name in handles}, bar)


def _draw_legend(axes: Any, handles: dict[str, Any], bar: Axes) -> None:
    """Above the diagrams, in as many columns as there is room for."""
    figure, names, room = axes[0].figure, [_KINDS[name] for name in handles], room_for(axes)

    # An entry has its text, its mark, and room between the two and to the next.
    room /= 0.83
    across = len(names)
    if sum(0.5 * len(name) + 3.5 for name in names) > room:
        names = list(handles)
        across = min(across, max(1, int(room / (0.5 * max(map(len, names)) + 3.5))))
    rows = -(-len(names) // across)
    style: dict[str, Any] = {
        "ncols": -(-len(names) // rows), "frameon": False, "fontsize": "small", "borderaxespad": 0,
        "handlelength": 1.5, "handletextpad": 0.5, "columnspacing": 1.0,
    }  # fmt: skip
    if len(axes) > 1:
        figure.legend(list(handles.values()), names, loc="outside upper right", **style)
        return
    style |= {"loc": "lower right", "bbox_to_anchor": (1, 1.01)}
    axes[0].legend(list(handles.values()), names, **style)
    if figure.get_layout_engine() is None:
        # Nothing else makes room for it.
        for ax in {axes[0], bar} if bar.bbox.height > bar.bbox.width else {axes[0]}:
            box = ax.get_position()
            height = box.height - 1.1 * rows * em(figure) / figure.bbox.height
            ax.set_position((box.x0, box.y0, box.width, height))


def _label(
    dataset: xr.Dataset, ax: Axes, dimensions: tuple[str, str], *, bottom: bool, left: bool
) -> None:
    """Scales, ticks and names of the two dimensions."""
    x, y = dimensions
    for name, axis, shown in ((x, "x", bottom), (y, "y", left)):
        values = dataset[name].values
        logarithmic = is_logarithmic(values)
        ax.set(**{f"{axis}scale": "log" if logarithmic else "linear"})  # type: ignore[arg-type]
        place_ticks(getattr(ax, f"{axis}axis"), name, values)
        if shown:
            text = axis_name(name, dataset[name].attrs.get("units"))
            ax.set(**{f"{axis}label": text})  # type: ignore[arg-type]


def _draw_boundary(ax: Axes, sheet: Sheet, *, upright: bool) -> Any:
    """The far edge of the last trainable cell of each row or column, as one line."""
    from matplotlib import patheffects

    far, edges = np.repeat(sheet.boundary, 2), sheet.y_edges if upright else sheet.x_edges
    near = np.repeat(edges, 2)[1:-1]
    (line,) = ax.plot(
        *((far, near) if upright else (near, far)), color="black", lw=2.2, label=_KINDS["boundary"],
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
