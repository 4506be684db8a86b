"""``warmup run`` with lists: a handful of runs over one another."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from simulator.checks import InputError, printable
from simulator.commands.options import was_given
from simulator.commands.terminal import announce_compilation, emit, marked, progress

if TYPE_CHECKING:
    from simulator.data import Data
    from simulator.runs import Run
    from simulator.sweeps import Spec

__all__ = ["run_several"]

_MOST = 12
_SHOWN = ("outcome", "n_catapults", "loss_final", "sharpness_final")


def run_several(spec: Spec, data: Data | None, figure: Path, given: dict[str, Any]) -> None:
    """Do every run of the spec, draw them over one another, and tell how they ended."""
    from simulator import figures
    from simulator.sweeps import rehearse, run_cell, seed_constants, text_of
    from simulator.sweeps.layout import variables

    if spec.cells > _MOST:
        raise InputError("run", f"of {spec.cells} runs", f"give at most {_MOST}, or use sweep")
    for option, instead in (("output", "warmup sweep --curves"), ("live", "one run")):
        if given[option]:
            raise InputError(option, printable(given[option]), f"keeps one run; use {instead}")
    if was_given("curvature_axis"):
        raise InputError(
            "curvature_axis", given["curvature_axis"],
            "several runs are drawn with their thresholds; leave it out",
        )  # fmt: skip
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
            values = {v.name: v.of(runs[-1]) for v in variables(part, data) if v.of is not None}
            found.append({"at": at, "result": known | values})
            on_progress(1)
    figures.save(figures.compare(runs, labels), figure)
    if given["as_json"]:
        emit({"command": "run", "spec": spec.as_dict(), "runs": found, "figure": str(figure)})
        return
    width = max(map(len, labels))
    click.echo(f"{'':{width}}  {'outcome':17} catapults  last loss  last sharpness")
    for label, one in zip(labels, found, strict=True):
        outcome, catapults, loss, sharpness = (one["result"][name] for name in _SHOWN)
        padded = marked(outcome) + " " * (17 - len(outcome))
        click.echo(f"{label:{width}}  {padded} {catapults:9d}  {loss:9.4g}  {sharpness:14.4g}")
    click.echo(f"\nFigure  {printable(figure)}")
