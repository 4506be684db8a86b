"""The report of a sweep: one page that needs no network."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.checks import printable
from simulator.data import Data
from simulator.reporting.cells import Cells, numbers, pack
from simulator.reporting.choice import connect, menus
from simulator.reporting.diagram import Diagram, draw_diagram
from simulator.reporting.panel import draw_panel, threshold_formula
from simulator.sweeps import text_of
from simulator.sweeps.layout import Chunk
from simulator.sweeps.spec import CONVENTIONS, Region, Spec

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["MOST_RUNS", "page"]

# Beyond it the text alone takes more than a browser likes to open.
MOST_RUNS = 10_000
_LONGEST = 10_000

_KEY = {
    "boundary": "trainability boundary",
    "eta_max": "largest stable constant eta, in closed form; exact at t_wrm 1",
    "ceiling": "eta beyond which no warmup helps, in closed form",
    "shortest": "shortest warmup that half of the seeds survive, in closed form",
    "diverged": "diverged",
    "stuck": "stuck: finite, but not trained",
    "blank": "not run, or failed",
    "chosen": "the chosen run",
}


def page(
    dataset: xr.Dataset,
    spec: Spec,
    data: Data | None,
    chunks: Iterable[tuple[Region, Chunk]] | None,
    *,
    title: str,
    command: str,
    description: Mapping[str, Any],
    explain: str = "",
    color: str = "loss_final",
) -> str:
    """The HTML of the report.

    Parameters
    ----------
    dataset : xarray.Dataset
        The store's, without its curves.
    data : Data, optional
        What it was trained on, if it is known.
    chunks : iterable of (Region, Chunk), optional
        The curves, as `chunks_with_curves` yields them; without them the page shows none.
    title, command : str
        What it is of, and the line that makes that again. Like all text of the store they may be
        anybody's: on the page they are text, never markup.
    description : mapping
        Of the data, as the store has it.
    explain : str
        The line that describes the chosen run at a terminal, with CELL for its place; by default
        none is shown.
    color : str
        Variable to colour by.
    """
    from bokeh.document import Document
    from bokeh.embed import components
    from bokeh.resources import Resources
    from jinja2 import Environment

    cells = pack(dataset, spec, data, chunks or ())
    diagram = draw_diagram(dataset, spec, data, cells.threshold, color)
    panel = draw_panel(spec)
    summaries = numbers(dataset, spec, data)
    choice = menus(spec, _first_shown(dataset, diagram))
    others = [axis.name for axis in spec.over]
    order = (*others, "eta_trgt", "t_wrm", "seed", "eta_init")
    roots = {"diagram": diagram.figure, **{name: choice.axes[name] for name in order}}
    roots["of"] = choice.of
    if chunks is not None:
        roots["panel"] = panel.layout
    document = Document()
    for root in roots.values():
        document.add_root(root)
    connect(document, choice, diagram, panel, cells, summaries, spec, explain)
    script, parts = components(roots)
    here = files("simulator.reporting")
    return (
        Environment(autoescape=True, trim_blocks=True)
        .from_string(here.joinpath("page.html").read_text("utf-8"))
        .render(
            title=printable(title),
            style=here.joinpath("page.css").read_text("utf-8"),
            resources=Resources("inline", components=["bokeh", "bokeh-widgets"]).render(),
            script=script,
            parts=parts,
            menus=[parts[name] for name in (*order, "of")],
            about=printable(_about(spec, description), _LONGEST),
            adaptive=any(part.preconditions for _, part in spec.parts()),
            threshold=_threshold(spec),
            notes=_notes(dataset, spec, cells, chunks is not None),
            color=color,
            key=_key(dataset, diagram),
            curves=chunks is not None,
            explain=explain,
            numbers=[(name, long_name) for name, (long_name, _) in summaries.items()],
            command=printable(command, _LONGEST),
            typed=printable(dataset.attrs.get("command", ""), _LONGEST),
            spec=[
                (name, printable(value if isinstance(value, str) else json.dumps(value), _LONGEST))
                for name, value in (*spec.as_dict().items(), ("data", dict(description)))
            ],
            conventions=CONVENTIONS.items(),
        )
    )


def _about(spec: Spec, description: Mapping[str, Any]) -> str:
    """What was trained, in a line."""
    varied = {axis.name for axis in spec.over}
    options = [
        f"{name} {text_of(value)}"
        for name, value in spec.model.options().items()
        if name not in varied and value not in (False, "none")
    ]
    model = ", ".join(options)
    samples = description.get("samples")
    of = f" ({samples} sample{'s' * (samples != 1)})" if samples else ""
    learnt = "" if description.get("name") == "none" else f" on {description.get('name')}{of}"
    return (
        f"{spec.model.name} ({model}){learnt}, trained with {spec.optimizer.name} for {spec.steps} "
        f"updates; {spec.cells} runs." + _over(spec)
    )


def _over(spec: Spec) -> str:
    """What else varies, in a sentence."""
    many = [axis for axis in spec.over if len(axis.labels) > 1]
    texts = [f"{axis.name} {', '.join(map(str, axis.labels))}" for axis in many]
    return f" Also varied: {'; '.join(texts)}." if texts else ""


def _threshold(spec: Spec) -> str:
    return " or ".join(dict.fromkeys(threshold_formula(part) for _, part in spec.parts()))


def _first_shown(dataset: xr.Dataset, diagram: Diagram) -> tuple[int, int]:
    """Places in eta_trgt and t_wrm of the most telling run: the last to train with most warmup."""
    right = diagram.shown["boundary"].data["x"][::2]
    known = np.flatnonzero(np.isfinite(right))
    wrm = int(known[-1]) if known.size else 0
    lived = np.searchsorted(diagram.edges["x"], right[wrm]) - 1 if known.size else 0
    return max(int(lived), 0), wrm


def _notes(dataset: xr.Dataset, spec: Spec, cells: Cells, curves: bool) -> list[str]:
    """What a reader must know before believing the page."""
    status = dataset["status"].values
    missing, failed = int((status == "not_run").sum()), int((status == "failed").sum())
    notes = []
    if missing:
        notes.append(f"The sweep is not complete: {missing} of {spec.cells} runs are missing.")
    if failed:
        notes.append(f"{failed} of {spec.cells} runs failed with an error.")
    if not curves:
        notes.append("The page was made without the curves of the runs.")
    elif not spec.curves and cells.runs:
        same = (
            "they match the store bit for bit"
            if not cells.other
            else f"{cells.other} of them do NOT match it: other package versions, or another "
            "processor, made it"
        )
        notes.append(
            f"The store has no curves. Its {cells.runs} runs were repeated for this page: {same}."
        )
    if not spec.follows_sharpness:
        notes.append("The sharpness was not measured.")
    elif spec.sharpness_every > 1:
        notes.append(f"The sharpness was measured before every {spec.sharpness_every}th update.")
    return notes


def _key(dataset: xr.Dataset, diagram: Diagram) -> list[dict[str, str]]:
    """What the diagram shows, and its name in the key."""
    hatches = set(diagram.every["cells"].data["hatch"])
    seen = {
        "diverged": "diagonal_cross" in hatches,
        "stuck": "dot" in hatches,
        "blank": bool((dataset["status"] != "done").any()),
        "chosen": True,
    } | dict.fromkeys(diagram.lines, True)
    return [{"name": name, "text": text} for name, text in _KEY.items() if seen.get(name)]
