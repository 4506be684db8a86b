"""``warmup explain``: what happened in a run, in words, as a table, and on a marked figure."""

from __future__ import annotations

import warnings
from dataclasses import asdict
from pathlib import Path
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Any

import click

from simulator.checks import InputError, at_least, one_of, printable
from simulator.commands import options
from simulator.commands.drawing import DRAWING, Drawing
from simulator.commands.options import option
from simulator.commands.replay import Replay, refuse_others, replay
from simulator.commands.run import one_run
from simulator.commands.terminal import announce_compilation, emit, note

if TYPE_CHECKING:
    from simulator.events import Story

__all__ = ["explain"]

_ALWAYS = DRAWING | {"source", "as_json", "curvature_axis"}
_WITH_STORE = _ALWAYS | {"cell", "data", "sharpness_every"}
_WITH_LOG = _ALWAYS | {
    "columns", "optimizer", "momentum", "dampening", "ema", "beta1", "beta2", "eps", "weight_decay",
}  # fmt: skip


@click.command(
    cls=options.GroupedCommand,
    common="model param optimizer eta-trgt t-wrm steps seed cell columns figure",
    examples=(
        ("warmup explain", "Train the default network and explain the run"),
        (
            "warmup explain sweep.zarr --cell eta_trgt=16,t_wrm=64,seed=0",
            "Explain a run of a store",
        ),
        (
            "warmup explain metrics.csv --optimizer adam",
            "Explain a training log of another program",
        ),
    ),
)
@options.positional("source", "Result store, or training log: csv, tsv, JSON lines or trainer_state.json. Without it, a run is trained.", type=click.Path(path_type=Path), required=False)  # fmt: skip
@options.model_options
@options.data_options
@options.optimizer_options
@options.schedule_options("run", grid=False)
@options.curvature_options(every=1, tol=1e-5)
@options.seed_option
@options.dtype_option(varies=False)
@options.cell_option
@option("execution", "--columns", metavar="NAME=COLUMN,…", default_text="by their names", help="Columns of a log, by name (loss=objective,eta=rate) or in order (step,loss,-,eta; - skips one). Names: step, epoch, loss, eta, sharpness, preconditioned_sharpness, directional_sharpness, critical_sharpness.")  # fmt: skip
@options.overwrite_figure_option
@options.curvature_axis_option()
@options.output_options("explain.png")
def explain(**given: Any) -> None:
    """Explain a run or a training log in words.

    For a store, --cell names the run. For a log, the optimizer's options give the stability
    threshold, and a note on stderr says which columns were read. Without SOURCE, a run is trained.
    The options of its model, data, optimizer and schedule are those of warmup run, but each takes
    one value.
    """
    import numpy as np

    from simulator import figures
    from simulator.events import explain as describe
    from simulator.figures.about import about_cell

    drawing = Drawing.of(given, Path("explain.png"))
    axis = one_of("curvature_axis", given["curvature_axis"], figures.CURVATURE_AXES)
    source: Path | None = given["source"]
    if source is None or source.is_dir():
        run_again = _run_of(source, given)
        drawing = drawing.showing(about_cell(*run_again[:3]))
        story = _trained(run_again)
    else:
        refuse_others(given, _WITH_LOG, "the log")
        drawing = drawing.showing({"log": source.name, "optimizer": options.optimizer_of().brief()})
        columns = None if given["columns"] is None else given["columns"].split(",")
        story = describe(source, optimizer=options.optimizer_of(), columns=columns)
        note(str(story.source))
    with np.errstate(all="ignore"), warnings.catch_warnings():
        # A loss of zero, say, has no place on a logarithmic axis: that is seen, and need not be said.
        warnings.simplefilter("ignore", UserWarning)
        axes = figures.trajectory(story, curvature_axis=axis, style=drawing.style)
        figure = drawing.save(axes)
    if given["as_json"]:
        emit(_document(story, figure))
    else:
        click.echo(click.wrap_text(story.paragraph, width=min(get_terminal_size().columns, 100)))
        if story.rows:
            click.echo(f"\n{story.table}")
        click.echo(f"\nFigure  {printable(figure)}")


def _run_of(source: Path | None, given: dict[str, Any]) -> Replay:
    """The run to do: a new one, or one of a store."""
    for name in ("columns", *(["cell"] if source is None else [])):
        if given[name] is not None:
            belongs = "a log" if name == "columns" else "a store"
            raise InputError(name, given[name], f"belongs to {belongs}; name one as SOURCE")
    if source is None:
        return Replay(one_run(given), options.data_of(), (0, 0, 0, 0), {})
    refuse_others(given, _WITH_STORE, "the store")
    every = at_least("sharpness_every", given["sharpness_every"], 0)
    return replay(
        source, "source", given["cell"], given["data"] if options.was_given("data") else None, every
    )


def _trained(run_again: Replay) -> Story:
    """The story of a run of ours, new or again, with what a gentle one beside it shows."""
    from simulator.events import explain as describe
    from simulator.sweeps import gentle_phase, rehearse, run_cell, seed_constants

    spec, data, cell, _ = run_again
    rehearse(spec, data)
    announce_compilation()
    seed = spec.seeds[cell[0]]
    known = seed_constants(spec, data, seed)
    run = run_cell(spec, data, cell, known["eta_critical"])
    hidden = run.natural_phase == "unknown"
    return describe(run, gentle_phase(spec, data, seed, known["eta_critical"]) if hidden else None)


def _document(story: Story, figure: Path) -> dict[str, Any]:
    curves = story.curves
    return {
        "command": "explain",
        "paragraph": story.paragraph,
        # What was read of a log, and how; null for a run of ours.
        "source": None
        if story.source is None
        else {**asdict(story.source), "text": str(story.source)},
        "outcome": curves.outcome,
        "natural_phase": curves.natural_phase,
        # Rows of the curves: the steps of what was logged.
        "step": curves.step,
        "events": asdict(story.events),
        "table": [asdict(row) for row in story.rows],
        "figure": str(figure),
    }
