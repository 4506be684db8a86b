"""``warmup run`` with lists: a handful of runs over one another."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import click

from simulator.checks import InputError, printable
from simulator.commands.options import was_given
from simulator.commands.results import results_of
from simulator.commands.terminal import announce_compilation, emit, marked, progress

if TYPE_CHECKING:
    from simulator.commands.drawing import Drawing
    from simulator.data import Data
    from simulator.runs import Run
    from simulator.sweeps import Spec

__all__ = ["refuse_keeping", "report_runs", "run_several"]

_MOST = 12
_SHOWN = ("outcome", "n_catapults", "loss_final", "sharpness_final")


def run_several(spec: Spec, data: Data | None, drawing: Drawing, given: dict[str, Any]) -> None:
    """Do every run of the spec, draw them over one another, and report how they ended."""
    from simulator.figures.about import about_cell
    from simulator.figures.symbols import labelled
    from simulator.sweeps import rehearse, run_cell, seed_constants, text_of

    if spec.cells > _MOST:
        raise InputError("run", f"of {spec.cells} runs", f"give at most {_MOST}, or use sweep")
    refuse_keeping(given)
    drawing = drawing.showing(about_cell(spec, data))
    rehearse(spec, data)
    announce_compilation()
    runs, labels, found = list["Run"](), list[str](), list[dict[str, Any]]()
    with progress(spec.cells) as on_progress:
        for index in itertools.product(*map(range, spec.shape)):
            first = len(spec.over)
            part, cell = spec.part(index[:first]), index[first:]
            known = seed_constants(part, data, part.seeds[0])
            runs.append(run_cell(part, data, cell, known["eta_critical"]))
            at = {
                name: value
                for name, value in spec.coordinates_of(index).items()
                if len(spec.coordinates()[name]) > 1
            }
            labels.append(", ".join(f"{name} {text_of(value)}" for name, value in at.items()))
            found.append({"at": at, "result": results_of(part, data, runs[-1], known)})
            on_progress(1)
    legend = [labelled(one["at"]) for one in found]
    report_runs(spec, runs, labels, found, drawing, legend=legend, as_json=given["as_json"])


def refuse_keeping(given: dict[str, Any]) -> None:
    """Refuse the options that are for one run."""
    if given["output"]:
        remedy = "stores one run; use warmup sweep --curves"
        raise InputError("output", printable(given["output"]), remedy)
    if given["live"]:
        raise InputError("live", "with several runs", "shows one run; leave it out")
    if given["spectrum"]:
        raise InputError("spectrum", "with several runs", "measures one run; leave it out")
    if was_given("curvature_axis"):
        raise InputError(
            "curvature_axis", given["curvature_axis"],
            "several runs are drawn with their thresholds; leave it out",
        )  # fmt: skip


def report_runs(
    spec: Spec,
    runs: list[Run],
    labels: list[str],
    found: list[dict[str, Any]],
    drawing: Drawing,
    *,
    legend: list[str] | None = None,
    as_json: bool,
) -> None:
    """Draw the runs over one another, and say what was ``found`` of each."""
    from simulator import figures

    figure = drawing.save(figures.compare(runs, legend or labels, style=drawing.style))
    if as_json:
        emit({"command": "run", "spec": spec.as_dict(), "runs": found, "figure": str(figure)})
        return
    width = max(map(len, labels))
    click.echo(f"{'':{width}}  {'outcome':17} catapults  last loss  last sharpness")
    for label, one in zip(labels, found, strict=True):
        outcome, catapults, loss, sharpness = (one["result"][name] for name in _SHOWN)
        padded = marked(outcome) + " " * (17 - len(outcome))
        click.echo(f"{label:{width}}  {padded} {catapults:9d}  {loss:9.4g}  {sharpness:14.4g}")
    click.echo(f"\nFigure  {printable(figure)}")
