"""``warmup run``: one training run, new or replayed from a store."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from simulator.checks import InputError, at_least, count, one_of, printable
from simulator.commands import options
from simulator.commands.drawing import DRAWING, Drawing
from simulator.commands.grids import BatchSize
from simulator.commands.live import drawing, leave_picture, obstacle
from simulator.commands.options import option
from simulator.commands.replay import refuse_others, replay
from simulator.commands.results import curves_of, results_of
from simulator.commands.run_forked import CHANGES, run_forked
from simulator.commands.run_several import run_several
from simulator.commands.specs import spec_of
from simulator.commands.terminal import (
    announce_compilation,
    emit,
    marked,
    note,
    progress,
    shares,
    typed,
)
from simulator.measures import CURVES

if TYPE_CHECKING:
    from simulator.runs import Run
    from simulator.sweeps import Spec
    from simulator.training import Snapshot, Spectra

__all__ = ["one_run", "run"]

# What may be given together with --replay; everything else comes from the store.
_WITH_REPLAY = DRAWING | {
    "replay", "cell", "as_json", "curves", "live", "data", "sharpness_every", "curvature_axis",
    "spectrum", "spectrum_every",
}  # fmt: skip


@options.several
@click.command(
    cls=options.GroupedCommand,
    common="model param width data loss optimizer batch-size eta-trgt t-wrm steps seed live figure",
    examples=(
        ("warmup run", "Train a network on handwritten digits; draw its loss and sharpness"),
        ("warmup run --eta-trgt 16 --t-wrm 1,16,256", "Compare three lengths of warmup"),
        ("warmup run --optimizer adam --live", "Watch Adam in the terminal while it trains"),
    ),
)
@options.model_options
@options.data_options
@options.optimizer_options
@options.schedule_options("run", grid=True)
@options.curvature_options(every=1, tol=1e-5)
@option("curvature", "--top-k", type=int, default=1, help="Number of top eigenvalues to track.")
@option("curvature", "--spectrum", is_flag=True, help="Measure the Hessian's spectrum along the run, on all samples: density and conditioning, with errors.")  # fmt: skip
@option("curvature", "--spectrum-every", type=int, default_text="steps / 32", help="Updates between spectra.")  # fmt: skip
@options.seed_option
@options.dtype_option(varies=True)
@option("execution", "--replay", type=click.Path(path_type=Path), metavar="STORE.zarr", help="Repeat a run of this store, bit for bit; --cell names the run.")  # fmt: skip
@options.cell_option
@option("execution", "--fork-at", type=int, metavar="STEP", default_text="none", help="Also train a fork: the same run with a change from this step on (--fork-eta, --fork-batch-size). Both are drawn.")  # fmt: skip
@option("execution", "--fork-eta", type=float, metavar="FACTOR", default_text="1", help="Factor on the learning rates of the fork.")  # fmt: skip
@option("execution", "--fork-batch-size", type=BatchSize(), metavar="INTEGER|full", default_text="as before", help="Samples per update of the fork.")  # fmt: skip
@options.overwrite_option
@option("output", "--live", is_flag=True, help="Draw loss and sharpness in the terminal during training.")  # fmt: skip
@option("output", "-o", "--output", type=click.Path(path_type=Path), metavar="STORE.zarr", default_text="none", help="Keep the run and its curves in a store.")  # fmt: skip
@options.curves_option
@options.curvature_axis_option()
@options.output_options("run.png")
def run(**given: Any) -> None:
    """Train once and measure loss, sharpness and stability threshold.

    The default is an SP network on handwritten digits, with a warmup to an eta_trgt at which most
    such networks do not train without warmup. Most options of the model, optimizer, schedule and
    curvature take several values, such as --t-wrm 1,16,64. They make at most 12 runs, which are
    drawn in one figure.
    """
    from simulator import figures
    from simulator.figures.about import about_cell
    from simulator.sweeps import Destination, rehearse, run_cell, save_run, seed_constants
    from simulator.sweeps.layout import same_value
    from simulator.timing import compiling
    from simulator.training import Snapshot

    drawing = Drawing.of(given, Path("run.png"))
    axis = one_of("curvature_axis", given["curvature_axis"], figures.CURVATURE_AXES)
    if given["replay"] is not None:
        refuse_others(given, _WITH_REPLAY, "the store")
        spec, data, cell, stored = replay(
            given["replay"], "replay", given["cell"],
            given["data"] if options.was_given("data") else None,
            given["sharpness_every"] if options.was_given("sharpness_every") else None,
        )  # fmt: skip
    elif given["cell"] is not None:
        raise InputError("cell", given["cell"], "belongs to --replay; name a store with it")
    else:
        spec, data, cell, stored = one_run(given), options.data_of(), (0, 0, 0, 0), None
        if given["fork_at"] is not None:
            run_forked(spec, data, drawing, given)
            return
        for name in filter(options.was_given, CHANGES):
            value = "full" if given[name] is None else given[name]
            raise InputError(name, value, "belongs to --fork-at; give the step with it")
        if spec.cells > 1:
            run_several(spec, data, drawing, given)
            return

    every = given["spectrum_every"]
    if every is not None:
        if not given["spectrum"]:
            raise InputError("spectrum_every", every, "belongs to --spectrum; give that too")
        count("spectrum_every", every, 1)
    where = Destination(given["output"], overwrite=given["overwrite"])
    where.check(spec, data)
    drawing = drawing.showing(about_cell(spec, data, cell))
    rehearse(spec, data)
    announce_compilation()
    known = seed_constants(spec, data, spec.seeds[cell[0]])
    with _watched(given["live"]) as callback:
        result = run_cell(spec, data, cell, known["eta_critical"], callback=callback)
    if callback is not None:
        leave_picture(Snapshot.of(result))
    # Kernels are loaded before the run too, for the unit of its learning rates.
    seconds = {**result.seconds, "compile": compiling()}
    if given["output"] is not None:
        began = time.perf_counter()
        save_run(where, spec, data, result, known, typed())
        seconds["store"] = time.perf_counter() - began
    found_spectra = _spectra_of(result, every) if given["spectrum"] else None
    options_of_it: dict[str, Any] = {"curvature_axis": axis, "style": drawing.style}
    if found_spectra is None:
        figure = drawing.save(figures.trajectory(result, **options_of_it))
    else:
        figure = drawing.save(figures.with_spectra(found_spectra, **options_of_it))

    found = results_of(spec, data, result, known)
    found["hessian_vector_products"] = result.products
    if stored is not None:
        found["identical"] = all(same_value(found[name], stored[name]) for name in stored)
    if given["as_json"]:
        document = {"command": "run", "spec": spec.as_dict(), "cell": spec.coordinates_of(cell)}
        document |= {"result": found, "seconds": seconds, "figure": str(figure)}
        if given["curves"]:
            document["curves"] = curves_of(spec, data, result)
        if found_spectra is not None:
            document["spectrum"] = found_spectra.arrays(nodes=given["curves"])
        emit(document)
    else:
        _report(spec, cell, result, found)
        if found_spectra is not None:
            _report_spectra(found_spectra)
        click.echo(f"Time           {shares(seconds)}")
        click.echo(f"Figure         {printable(figure)}")
    if not found.get("identical", True):
        raise click.exceptions.Exit(1)


def _spectra_of(result: Run, every: int | None) -> Spectra:
    """The spectra along a run that is over, with a bar."""
    from simulator.training import spectra, spectra_steps

    with progress(len(spectra_steps(result, every)), "spectra") as on_progress:
        return spectra(result, every, on_progress=on_progress)


def _report_spectra(found: Spectra) -> None:
    exact = found.spectra[0].is_exact

    def at(name: str, which: int) -> str:
        value, error = (found.curve(key)[which] for key in (name, f"{name}_error"))
        return f"{value:.4g}" + f" +- {error:.1g}" * (not exact)

    described = {"top_to_bulk": "Top over bulk", "effective_rank": "Effective rank"}
    for name, label in described.items():
        click.echo(f"{label:14} {at(name, 0)} at the start, {at(name, -1)} at the end")
    share, unsure = found.curve("gradient_share"), int((~found.curve("converged")).sum())
    top_k = found.top.shape[1]
    click.echo(
        f"Gradient       {share[0]:.0%} in the top {top_k} eigenvectors at the start, "
        f"{share[-1]:.0%} at the end"
    )
    how = "dense" if exact else "Lanczos quadrature, standard errors over its probes"
    doubt = f", {unsure} not converged" if unsure else ""
    click.echo(f"Spectra        {len(found.step)}{doubt}; {found.products} Hessian products; {how}")


def _watched(live: bool) -> AbstractContextManager[Callable[[Snapshot], None] | None]:
    """Whoever is to see the run as it goes."""
    if not live:
        return nullcontext()
    why_not = obstacle()
    if why_not is None:
        return drawing()
    note(f"--live draws nothing: {why_not}.")
    return nullcontext()


def one_run(given: dict[str, Any]) -> Spec:
    """The one cell that the current command's options describe, or the few."""
    return spec_of(given, seeds=(at_least("seed", given["seed"], 0),), curves=True)


def _from_to(result: Run, name: str, of_no_consequence: bool) -> str:
    """First and last value of a sharpness, beside the threshold where it is that one's."""
    first, last = getattr(result, f"{name}_init"), getattr(result, f"{name}_final")
    # With minibatches the curve is of the batch of each update, and its end of all samples.
    batch, full = (" (first batch)", " (all samples)") if result.updates_per_epoch > 1 else ("", "")
    values = f"{first:.4g} at the start{batch}, {last:.4g} at the end{full}"
    threshold = f"; the final threshold is {result.threshold[-1]:.4g}"
    return values if of_no_consequence else values + threshold


def _report(spec: Spec, cell: tuple[int, ...], result: Run, found: dict[str, Any]) -> None:
    from simulator.regimes import NATURAL_PHASES, OUTCOMES

    unused = {"eta_init", "t_wrm"} - set(spec.schedule.options())
    where = ", ".join(
        f"{name} {value:g}"
        for name, value in spec.coordinates_of(cell).items()
        if name not in unused
    )
    schedule = "" if spec.schedule.name == "warmup" else f"{spec.schedule.name}, "
    click.echo(f"{spec.model.name}, {spec.optimizer.name}, {schedule}{where}")
    if spec.eta_unit == "critical":
        samples = ", of all samples" * (result.updates_per_epoch > 1)
        click.echo(f"(eta in units of eta_critical = {found['eta_critical']:.4g}{samples})")
    click.echo(f"\nOutcome        {marked(result.outcome)}: {OUTCOMES[result.outcome]}")
    if result.forward_passes:
        click.echo(f"Searches       {result.forward_passes} forward passes besides the updates")
    if result.diverged:
        click.echo(f"Diverged       at step {result.diverged_step}")
    click.echo(f"Natural phase  {result.natural_phase}: {NATURAL_PHASES[result.natural_phase]}")
    click.echo(f"Catapults      {result.n_catapults}")
    click.echo(
        f"Loss           {result.loss_init:.4g} at the start, {result.loss_final:.4g} at the end"
    )
    click.echo(f"Sharpness      {_from_to(result, 'sharpness', spec.preconditions)}")
    if spec.preconditions:
        click.echo(f"  of P^-1 H    {_from_to(result, 'preconditioned_sharpness', False)}")
    for name in CURVES:
        if (late := found.get(f"{CURVES[name][0]}_late")) is not None:
            click.echo(
                f"{f'  {name}':14} {late:.3g} times 2 / eta, as a median over the last quarter"
            )
    if (rises := found.get("rises", math.nan)) == rises:
        click.echo(f"Rises          {rises:.1%} of the updates raised the loss of their batch")
    if result.n_unconverged:
        note(
            f"{result.n_unconverged} measurements of the sharpness did not converge: the true "
            "values may differ from those shown."
        )
    if result.test_accuracy_final == result.test_accuracy_final:
        click.echo(f"Test accuracy  {result.test_accuracy_final:.1%}")
    if "identical" in found:
        same = "bit for bit" if found["identical"] else marked("NOT bit for bit")
        click.echo(f"Replay         agrees with the store {same}")
        if not found["identical"]:
            note("Another processor or other package versions may round differently.")
