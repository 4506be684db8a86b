"""``warmup flow``: the central flow of a run, with the run beside it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from simulator.checks import InputError, printable
from simulator.commands import options
from simulator.commands.drawing import Drawing
from simulator.commands.options import option
from simulator.commands.run import one_run
from simulator.commands.terminal import announce_compilation, emit, note, progress, shares

if TYPE_CHECKING:
    from simulator.flows import Flow
    from simulator.sweeps import Spec

__all__ = ["flow"]


@click.command(
    cls=options.GroupedCommand,
    common="width activation data samples optimizer eta-trgt t-wrm steps start seed figure",
    examples=(
        (
            "warmup flow --width 8 --activation tanh --samples 64 --eta-trgt 3",
            "The central flow of a small network, compared with its run",
        ),
        (
            "warmup flow --width 8 --activation tanh --samples 64 --optimizer rmsprop",
            "The same for RMSProp",
        ),
        (
            "warmup flow --width 8 --activation tanh --samples 64 --start after",
            "The flow after the first catapult",
        ),
    ),
)
@options.model_options
@options.data_options
@options.optimizer_options
@options.schedule_options("run", grid=False)
@options.seed_option
@option("execution", "--start", metavar="INTEGER|after", default="0", help="Updates before the flow starts; after: start after the first catapult.")  # fmt: skip
@options.curves_option
@options.overwrite_figure_option
@options.output_options("flow.png")
def flow(**given: Any) -> None:
    """Compute the central flow of a run at the edge of stability.

    The central flow is the time average of the run, without its oscillations. It exists for gd and
    rmsprop on all samples; rmsprop starts from its first squared gradient. The command
    reports every reason to doubt the flow.
    """
    from simulator import figures
    from simulator.figures.about import about_cell
    from simulator.flows import central_flow, described
    from simulator.sweeps import rehearse
    from simulator.training import eta_critical

    drawing = Drawing.of(given, Path("flow.png"))
    for name in ("batch_size", "layer_rates"):
        if given[name]:
            raise InputError(
                name,
                given[name],
                "a central flow has full batches and one learning rate; leave it out",
            )
    start = _start(given["start"])
    spec, data, seed = one_run(given), options.data_of(), given["seed"]
    optimizer = described(spec.optimizer)
    shown = about_cell(spec, data, (0, 0, 0, 0)) | {"flow": f"from step {start}"}
    drawing = drawing.showing(shown)
    rehearse(spec, data)
    announce_compilation()
    in_units = spec.eta_unit == "critical"
    known = eta_critical(spec.model, data, optimizer, seed) if in_units else 1.0
    experiment = spec.at((0, 0, 0, 0), known)
    before = start if isinstance(start, int) else 0
    with progress(max(experiment.steps - before, 0), "updates") as on_progress:
        found = central_flow(
            experiment.model, data, optimizer=spec.optimizer, schedule=experiment.schedule,
            steps=experiment.steps, seed=seed, start=start, callback=lambda step: on_progress(1),
        )  # fmt: skip
    figure = drawing.save(figures.flow(found, style=drawing.style))
    if given["as_json"]:
        document = {"command": "flow", "spec": spec.as_dict(), "result": _results(found)}
        document |= {"doubts": found.doubts, "seconds": found.seconds, "figure": str(figure)}
        if given["curves"]:
            document["curves"] = _curves(found)
        emit(document)
    else:
        _report(spec, found)
        click.echo(f"Time           {shares(found.seconds)}")
        click.echo(f"Figure         {printable(figure)}")


def _start(text: str) -> int | str:
    if text.strip() == "after":
        return "after"
    try:
        return int(text)
    except ValueError:
        remedy = "give a number of updates, or after"
        raise InputError("start", text, remedy) from None


def _results(found: Flow) -> dict[str, Any]:
    """Numbers of the flow as a whole."""
    last = (
        "loss",
        "predicted_loss",
        "sharpness",
        "variance",
        "distance",
        "stable_distance",
        "path",
    )
    counts = ("start", "first_contact", "kappa_1", "gradients", "products")
    return {
        **{name: getattr(found, name) for name in counts},
        **{f"{name}_final": getattr(found, name)[-1] for name in last},
        "rank_max": found.rank.max(),
        "diverged_step": -1 if found.run is None else found.run.diverged_step,
    }


def _curves(found: Flow) -> dict[str, Any]:
    assert found.run is not None
    names = (
        "eta", "threshold", "loss", "predicted_loss", "predicted_gradient_square", "sharpness",
        "variance", "rank", "critical", "kappa", "distance", "stable_distance", "path",
    )  # fmt: skip
    of_the_run = {"run_loss": found.run.loss, "run_sharpness": found.run.effective_sharpness}
    return {name: getattr(found, name) for name in names} | of_the_run


def _report(spec: Spec, found: Flow) -> None:
    click.echo(f"{spec.model.name}, {spec.optimizer.name}, {len(found.eta)} updates\n")
    if found.first_contact < 0:
        click.echo("First contact  none: no direction is ever critical")
    else:
        click.echo(
            f"First contact  step {found.first_contact}, kappa_1 {found.kappa_1:.2g}; the flow "
            f"starts at step {found.start}"
        )
        rank = int(found.rank.max())
        click.echo(f"Rank           at most {rank} oscillating direction{'s' * (rank != 1)}")
    late = slice(max(found.start, 3 * len(found.eta) // 4), None)
    assert found.run is not None
    run, predicted, centre = (
        curve[late].mean() for curve in (found.run.loss, found.predicted_loss, found.loss)
    )
    click.echo(
        f"Loss           {run:.4g} on average over the last quarter; predicted {predicted:.4g}, "
        f"at the centre {centre:.4g}"
    )
    off, stable, path = found.distance[-1], found.stable_distance[-1], found.path[-1]
    click.echo(
        f"Distance       {off:.3g} from the run at the end, after a path of length {path:.3g}; the "
        f"stable flow is {stable:.3g} from the run"
    )
    for doubt in found.doubts:
        click.echo(f"Doubt          {doubt}.")
    if not found.doubts:
        note("There is no reason to doubt this flow.")
