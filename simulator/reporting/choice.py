"""Which run is shown: menus, so that the keyboard will do, and a click on the diagram."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.reporting.cells import Cells
from simulator.reporting.diagram import Diagram
from simulator.reporting.panel import Panel
from simulator.reporting.scales import CATAPULT, DARK, EDGE
from simulator.reporting.scripts import code
from simulator.sweeps.over import text_of
from simulator.sweeps.spec import Spec

if TYPE_CHECKING:
    from bokeh.document import Document
    from bokeh.models import Select

__all__ = ["Menus", "connect", "menus"]

# Within a menu; the variables are those of page.css.
_STYLE = """
select.bk-input {
  color: var(--ink); background: var(--ground) !important; border-color: var(--rule);
  appearance: auto !important;
}
"""


@dataclass
class Menus:
    """A menu for each of the axes, by name, and one for what the diagram shows."""

    axes: dict[str, Select]
    of: Select


def menus(spec: Spec, first: tuple[int, int]) -> Menus:
    """Menus with the values of the grid; ``first``: what is chosen of eta_trgt and t_wrm."""
    from bokeh.models import Select

    seeds = len(spec.seeds)
    chosen = {"eta_trgt": first[0], "t_wrm": first[1]}
    unit = " / eta_critical" if spec.eta_unit == "critical" else ""
    axes = {
        name: Select(
            name=name, title=name + unit * name.startswith("eta"),
            value=str(chosen.get(name, 0)), width=150, visible=len(values) > 1,
            options=[(str(i), text_of(value)) for i, value in enumerate(values)],
            stylesheets=[_STYLE],
        )
        for name, values in spec.coordinates().items()
    }  # fmt: skip
    of = Select(
        name="of", title="diagram of", value="all", width=210, visible=seeds > 1,
        options=[("all", f"all {seeds} seeds (median)"), ("one", "the chosen seed")],
        stylesheets=[_STYLE],
    )  # fmt: skip
    return Menus(axes, of)


def connect(
    document: Document,
    choice: Menus,
    diagram: Diagram,
    panel: Panel,
    cells: Cells,
    numbers: dict[str, tuple[str, Any]],
    spec: Spec,
    explain: str,
) -> None:
    """Make menus and clicks show their run, and show the first one, in the colours of the page."""
    from bokeh.events import DocumentReady, Tap
    from bokeh.models import ColumnDataSource, CustomJS

    # Runs share most sentences, so that each is stored once.
    sentences: dict[str, int] = {}
    words = [
        [sentences.setdefault(one, len(sentences)) for one in paragraph.split(". ")]
        for paragraph in cells.words
    ]
    # Columns of different lengths go into sources of their own, but for the ends of rows.
    whole = {
        "row": cells.curves.first,
        "span": cells.spans.first,
        **{name: np.append(column, np.nan) for name, column in cells.frame.items()},
    }
    edges = {f"{axis}_edges": list(map(float, of)) for axis, of in diagram.edges.items()}
    limits = [part.optimizer.limit for _, part in spec.parts()]
    show = CustomJS(
        code=code("plain", "choose"),
        args={
            "menus": list(choice.axes.values()), "of": choice.of, "shape": list(spec.shape),
            "sheets": diagram.sheets, "shown": diagram.shown, "every": diagram.every,
            "outline": diagram.outline, **edges,
            "cells": ColumnDataSource(whole), "curves": ColumnDataSource(cells.curves.columns),
            "all_spans": ColumnDataSource(cells.spans.columns), "colors": [EDGE, CATAPULT],
            "numbers": ColumnDataSource({name: of for name, (_, of) in numbers.items()}),
            "curve": panel.curve, "measured": panel.measured, "beside": panel.beside,
            "spans": panel.spans,
            "ranges": {
                "step": panel.figures["eta"].x_range,
                **{name: plot.y_range for name, plot in panel.figures.items()},
            },
            "over_eta": [limit.over_eta for limit in limits],
            "decay": [limit.decay for limit in limits], "explain": explain,
            "words": words, "sentences": list(sentences),
        },
    )  # fmt: skip
    for menu in (*choice.axes.values(), choice.of):
        menu.js_on_change("value", show)
    document.js_on_event(DocumentReady, show)
    document.js_on_event(DocumentReady, CustomJS(code=code("theme"), args={"dark": DARK}))
    diagram.figure.js_on_event(
        Tap, CustomJS(code=code("tap"), args={"menus": list(choice.axes.values()), **edges})
    )
