"""Loss, sharpness with its threshold, and eta of the chosen run, one above the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from simulator.figures.palette import (
    BATCH,
    CRITICAL,
    DIRECTIONAL,
    ETA,
    FULL,
    INTERACTION,
    LOSS,
    SHARPNESS,
    THRESHOLD,
)
from simulator.limits import STEP_LIMIT
from simulator.reporting.cells import shown_curves
from simulator.reporting.scripts import hover
from simulator.sweeps.spec import Spec

if TYPE_CHECKING:
    from bokeh.models import ColumnDataSource, UIElement
    from bokeh.plotting import figure

__all__ = ["Panel", "draw_panel", "threshold_formula"]


# Colour, and whether its values are joined by a line.
_BESIDE = {
    "directional_sharpness": (DIRECTIONAL, False),
    "critical_sharpness": (CRITICAL, False),
    "batch_sharpness": (BATCH, True),
    "full_sharpness": (FULL, True),
    "gradient_noise_interaction": (INTERACTION, True),
}


@dataclass
class Panel:
    """The figures, and the sources that a choice fills.

    ``curve`` has step, loss, eta, threshold and step_threshold, which is 2 / eta; ``measured`` step
    and sharpness, where it was measured, and ``beside`` the same of other curvatures, by name;
    ``spans`` left and right; ``end`` the step of a divergence.
    """

    figures: dict[str, figure]
    curve: ColumnDataSource
    measured: ColumnDataSource
    beside: dict[str, ColumnDataSource]
    spans: ColumnDataSource
    layout: UIElement


def draw_panel(spec: Spec) -> Panel:
    """Empty figures for the runs of a sweep."""
    from bokeh.layouts import gridplot
    from bokeh.models import ColumnDataSource, Range1d
    from bokeh.plotting import figure

    columns = ("step", "loss", "eta", "threshold", "step_threshold")
    curve = ColumnDataSource({name: [] for name in columns}, name="curve")
    measured = ColumnDataSource({"step": [], "sharpness": []}, name="measured")
    beside = {
        name: ColumnDataSource({"step": [], name: []}, name=name) for name in shown_curves(spec)
    }
    spans = ColumnDataSource({"start": [], "end": [], "color": []}, name="spans")
    steps = Range1d(0, spec.steps)
    labels = {
        "loss": "loss",
        "sharpness": _sharpness([part.preconditions for _, part in spec.parts()]),
        "eta": "eta",
    }
    figures = {}
    for name, label in labels.items():
        plot = figure(
            height=230 if name == "eta" else 215, sizing_mode="stretch_width", x_range=steps,
            y_range=Range1d(0.1, 1), y_axis_label=label, tools="xbox_zoom,reset,save",
            y_axis_type="linear" if name == "eta" else "log",
            active_drag=None,  # a finger that scrolls must not zoom
            min_border_left=72, min_border_right=12, min_border_top=6, min_border_bottom=6,
        )  # fmt: skip
        plot.axis.axis_label_text_font_style = "normal"
        plot.axis.minor_tick_line_color = None
        plot.grid.grid_line_color = "#eeeeee"
        plot.xaxis.visible = name == "eta"
        figures[name] = plot
        if name != "eta":
            plot.vstrip("start", "end", source=spans, fill_color="color", line_color="white")
    figures["eta"].xaxis.axis_label = "step (updates done before)"

    _line(figures["loss"], "loss", curve, LOSS)
    _line(figures["sharpness"], "sharpness", measured, SHARPNESS)
    if spec.sharpness_every != 1:
        figures["sharpness"].scatter("step", "sharpness", source=measured, color=SHARPNESS, size=4)
    for name, source in beside.items():
        # Values of single updates are dots, means and eigenvalues are joined.
        color, joined = _BESIDE[name]
        shared = {"source": source, "color": color, "legend_label": name.replace("_", " ")}
        figures["sharpness"].scatter("step", name, size=4, **shared)
        if joined:
            figures["sharpness"].line("step", name, **shared)
    if any(part.optimizer.limit != STEP_LIMIT for _, part in spec.parts()) and beside:
        figures["sharpness"].line(
            "step", "step_threshold", source=curve, color=THRESHOLD, line_dash="dotted",
            legend_label="2 / eta",
        )  # fmt: skip
    thresholds = " or ".join(dict.fromkeys(threshold_formula(part) for _, part in spec.parts()))
    figures["sharpness"].line(
        "step", "threshold", source=curve, color=THRESHOLD, line_width=1.6, line_dash="dashed",
        legend_label=f"threshold {thresholds}",
    )  # fmt: skip
    legend = figures["sharpness"].legend
    legend.background_fill_alpha, legend.border_line_color = 0.7, None
    legend.label_text_font_size, legend.padding, legend.margin = "12px", 2, 4
    _line(figures["eta"], "eta", curve, ETA)
    for name, plot in figures.items():
        drawn = plot.renderers[-1 if name != "sharpness" else 1 :][:1]
        source, shown = drawn[0].data_source, {"step": "step", name: name}
        plot.add_tools(hover(source, shown, mode="vline", renderers=drawn))
    layout = gridplot(
        [[plot] for plot in figures.values()], sizing_mode="stretch_width",
        toolbar_location="above", toolbar_options={"logo": None},
    )  # fmt: skip
    return Panel(figures, curve, measured, beside, spans, layout)


def threshold_formula(spec: Spec) -> str:
    """The stability threshold of a part as a function of eta."""
    return spec.optimizer.limit.formula()


def _sharpness(preconditioned: list[bool]) -> str:
    """The label of its axis."""
    if not any(preconditioned):
        return "sharpness"
    return "sharpness of P⁻¹H" if all(preconditioned) else "sharpness of H or P⁻¹H"


def _line(plot: Any, name: str, source: ColumnDataSource, color: str) -> None:
    plot.line("step", name, source=source, color=color, line_width=1.8)
