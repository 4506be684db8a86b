"""The phase diagram of the page: every sheet of it, one of them shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.arrays import Array
from simulator.data import Data
from simulator.figures.palette import THRESHOLD
from simulator.figures.sheet import Sheet, lay_out
from simulator.regimes import OUTCOMES
from simulator.reporting.closed_forms import Lines, closed_forms
from simulator.reporting.scales import (
    STUCK,
    powers_of_two,
    round_numbers,
    scale,
    some_of,
    viridis,
)
from simulator.reporting.scripts import hover
from simulator.sweeps.spec import Spec

if TYPE_CHECKING:
    import xarray as xr
    from bokeh.models import ColumnDataSource
    from bokeh.plotting import figure

__all__ = ["Diagram", "draw_diagram"]

_POINTS = 33
_CLEAR = "rgba(0, 0, 0, 0)"
# Names of the lines, each two columns of one source, and how they are drawn.
_LINES = {
    "boundary": {"line_color": "black", "line_width": 2.4},
    "eta_max": {"line_color": "#d01c8b", "line_width": 2.4, "line_dash": "dashed"},
    "ceiling": {"line_color": "#d01c8b", "line_width": 2.4, "line_dash": "dotted"},
    "shortest": {"line_color": "#d01c8b", "line_width": 2.4, "line_dash": "dotdash"},
}


@dataclass
class Diagram:
    """The figure, with what a choice changes in it.

    Attributes
    ----------
    figure : bokeh figure
    shown, every : dict of ColumnDataSource
        What is drawn, and all sheets of it one after the other: for each part of the sweep, and
        each eta_init, that of all seeds, and then, if there are several, those of each.
    sheets : int
        How many.
    outline : ColumnDataSource
        Around the chosen cell.
    edges : dict of array
        Of the cells, along eta_trgt and t_wrm.
    lines : set of str
        Which of boundary, eta_max, ceiling and shortest can be seen on some sheet.
    """

    figure: figure
    shown: dict[str, ColumnDataSource]
    every: dict[str, ColumnDataSource]
    sheets: int
    outline: ColumnDataSource
    edges: dict[str, Array]
    lines: set[str]


def draw_diagram(
    dataset: xr.Dataset, spec: Spec, data: Data | None, threshold: Array, color: str
) -> Diagram:
    """eta_trgt against t_wrm, coloured as `simulator.figures.phase_diagram` does it.

    Parameters
    ----------
    threshold : array, shape of the grid, flat
        Of the sharpness, at the last update of each run.
    """
    from bokeh.models import ColumnDataSource

    seeds = len(spec.seeds)
    each = [slice(i, i + 1) for i in range(seeds)] if seeds > 1 else []
    seeds_shown = [slice(None), *each]
    dataset = dataset.assign(threshold_final=(spec.axes, threshold.reshape(spec.shape)))
    names, cells, lines = [axis.name for axis in spec.over], [], []
    for index, part in spec.parts():
        its = dataset.isel(dict(zip(names, index, strict=True)), drop=True)
        for init in range(len(spec.eta_init)):
            for seed in seeds_shown:
                some = its.isel(seed=seed)
                sheet = lay_out(some.isel(eta_init=[init]), color)
                cells.append(_cells(some, sheet, init, preconditioned=part.preconditions))
                lines.append(_lines(sheet, some, part, data, init))
    every = {"cells": _together(cells)}
    every |= {name: _together([one[name] for one in lines]) for name in _LINES}
    shown = {
        name: ColumnDataSource(
            {k: v[: len(v) // len(cells)] for k, v in source.data.items()}, name=name
        )
        for name, source in every.items()
    }
    shown["cells"].data.update(_places(dataset, sheet))
    outline = ColumnDataSource(
        {side: [] for side in ("left", "right", "bottom", "top")}, name="outline"
    )
    edges = {"x": sheet.x_edges, "y": sheet.y_edges}
    seen = {name for name in _LINES if _is_seen(every[name].data, edges)}
    figure = _draw(shown, outline, edges, dataset, spec, color, every["cells"].data["value"])
    return Diagram(figure, shown, every, len(cells), outline, edges, seen)


def _cells(dataset: xr.Dataset, sheet: Sheet, init: int, *, preconditioned: bool) -> dict[str, Any]:
    """What a sheet shows in its cells, those of a t_wrm together."""
    some = dataset.isel(eta_init=init).transpose("t_wrm", "eta_trgt", "seed", ...)
    shape = sheet.middle.shape
    done = (some["status"] == "done").values

    def median(name: str) -> Array:
        values = np.where(done, some[name].values, np.nan)
        known = np.isfinite(values).any(axis=-1)
        found = np.full(shape, np.nan)
        found[known] = np.nanmedian(values[known], axis=-1)
        return found.ravel()

    sharpness = "preconditioned_" * preconditioned + "sharpness_final"
    return {
        "value": sheet.middle.ravel(),
        "hatch": _either(sheet, "diagonal_cross", "dot", " "),
        "face": _either(sheet, _CLEAR, STUCK, _CLEAR),
        "did": _did(some, done),
        "loss": median("loss_final"), "sharpness": median(sharpness),
        "threshold": median("threshold_final"),
    }  # fmt: skip


def _places(dataset: xr.Dataset, sheet: Sheet) -> dict[str, Array]:
    """Where the cells lie, on every sheet."""
    y, x = np.indices(sheet.middle.shape)
    columns = {
        "left": sheet.x_edges[x], "right": sheet.x_edges[x + 1],
        "bottom": sheet.y_edges[y], "top": sheet.y_edges[y + 1],
        "eta_trgt": dataset["eta_trgt"].values[x], "t_wrm": dataset["t_wrm"].values[y],
    }  # fmt: skip
    return {name: column.ravel() for name, column in columns.items()}


def _either(sheet: Sheet, diverged: str, stuck: str, neither: str) -> list[str]:
    return (
        np.where(sheet.diverged, diverged, np.where(sheet.stuck, stuck, neither)).ravel().tolist()
    )


def _did(some: xr.Dataset, done: Array) -> list[str]:
    """What the runs of each cell came to, counted: only words of ours."""
    outcomes, status = some["outcome"].values, some["status"].values
    texts = []
    for place in np.ndindex(done.shape[:2]):
        words = [
            (str(o).replace("_", " ") if o in OUTCOMES else "unknown")
            if d
            else "failed"
            if s == "failed"
            else "not run"
            for o, s, d in zip(outcomes[place], status[place], done[place], strict=True)
        ]
        if len(words) == 1:
            texts.append(words[0])
        else:
            found = sorted(set(words), key=words.index)
            texts.append(", ".join(f"{words.count(word)} {word}" for word in found))
    return texts


def _lines(
    sheet: Sheet, some: xr.Dataset, spec: Spec, data: Data | None, init: int
) -> dict[str, dict[str, Array]]:
    x, y = sheet.x_edges, sheet.y_edges
    unit_trgt = np.geomspace(x[0], x[-1], _POINTS)
    found: Lines = closed_forms(some, spec, data, unit_trgt, init)
    shown = (unit_trgt > max(np.nan_to_num(found.eta_max), spec.eta_init[init])) & ~(
        unit_trgt > found.ceiling
    )
    return {
        "boundary": {"x": np.repeat(sheet.boundary, 2), "y": np.repeat(y, 2)[1:-1]},
        "eta_max": {"x": np.full(2, found.eta_max), "y": y[[0, -1]]},
        "ceiling": {"x": np.full(2, found.ceiling), "y": y[[0, -1]]},
        "shortest": {"x": unit_trgt, "y": np.where(shown, found.shortest, np.nan)},
    }


def _together(parts: list[dict[str, Any]]) -> ColumnDataSource:
    from bokeh.models import ColumnDataSource

    return ColumnDataSource({
        name: np.concatenate([part[name] for part in parts])
        if isinstance(column, np.ndarray)
        else [value for part in parts for value in part[name]]
        for name, column in parts[0].items()
    })  # fmt: skip


def _is_seen(columns: dict[str, Array], edges: dict[str, Array]) -> bool:
    within = [
        (columns[axis] >= edges[axis][0]) & (columns[axis] <= edges[axis][-1]) for axis in "xy"
    ]
    return bool((within[0] & within[1]).any())


def _draw(
    shown: dict[str, ColumnDataSource],
    outline: ColumnDataSource,
    edges: dict[str, Array],
    dataset: xr.Dataset,
    spec: Spec,
    color: str,
    values: Array,
) -> figure:
    from bokeh.models import ColorBar, FixedTicker
    from bokeh.plotting import figure
    from bokeh.transform import linear_cmap, log_cmap

    critical = spec.eta_unit == "critical"
    plot = figure(
        height=420, sizing_mode="stretch_width", toolbar_location=None, tools="",
        x_axis_type="log", y_axis_type="log",
        x_range=tuple(edges["x"][[0, -1]]), y_range=tuple(edges["y"][[0, -1]]),
        x_axis_label="eta_trgt / eta_critical" if critical else "eta_trgt",
        y_axis_label="t_wrm (updates)",
    )  # fmt: skip
    is_loss = "loss" in color
    low, high, logarithmic = scale(values, is_loss=is_loss)
    mapper = (log_cmap if logarithmic else linear_cmap)(
        "value", viridis(reverse=is_loss), low, high, nan_color=_CLEAR
    )
    sides = {"left": "left", "right": "right", "bottom": "bottom", "top": "top"}
    cells = plot.quad(**sides, source=shown["cells"], fill_color=mapper, line_color=mapper)
    plot.quad(
        **sides, source=shown["cells"], fill_color="face", line_color=None, hatch_pattern="hatch",
        hatch_color="#7a7a7a", hatch_scale=9, hatch_weight=1,
    )  # fmt: skip
    for name, style in _LINES.items():
        # A white line beneath, so that it is seen on dark cells and on light ones.
        beneath = {"line_color": "white", "line_width": 5.0}
        for drawn in (beneath, style):
            plot.line("x", "y", source=shown[name], **drawn)
    for width, ink in ((6, "white"), (3, THRESHOLD)):
        plot.quad(**sides, source=outline, fill_color=None, line_color=ink, line_width=width)

    name = str(dataset[color].attrs.get("long_name", color))
    bar = ColorBar(
        color_mapper=mapper.transform, title=color.replace("_", " ") if len(name) > 60 else name,
        height=12, padding=4, title_text_font_style="normal", title_text_font_size="12px",
        border_line_color=None,
    )  # fmt: skip
    if logarithmic:
        bar.ticker = FixedTicker(ticks=round_numbers(low, high))
        bar.major_label_overrides = {tick: f"{tick:.3g}" for tick in bar.ticker.ticks}
    plot.add_layout(bar, "above")
    labels = {
        plot.xaxis.axis_label: "eta_trgt", plot.yaxis.axis_label: "t_wrm", "outcome": "did",
        "final loss": "loss", "final sharpness": "sharpness", "threshold": "threshold",
    }  # fmt: skip
    plot.add_tools(hover(shown["cells"], labels, renderers=[cells], attachment="vertical"))
    for axis, ticks in (
        (plot.xaxis, powers_of_two(edges["x"]) if critical else some_of(spec.eta_trgt, 8)),
        (plot.yaxis, some_of(spec.t_wrm, 14)),
    ):
        axis.ticker = FixedTicker(ticks=ticks)
        axis.major_label_overrides = {float(tick): f"{tick:.4g}" for tick in ticks}
        axis.axis_label_text_font_style = "normal"
        axis.minor_tick_line_color = None
    plot.grid.visible = False
    plot.min_border_right = 12
    return plot
