"""``warmup sweep``: a grid of runs, a store, a phase diagram, and what was found."""

from __future__ import annotations

import itertools
import logging
import math
import shlex
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from simulator.checks import InputError, printable
from simulator.commands import options
from simulator.commands.drawing import Drawing
from simulator.commands.findings import boundaries, document, report_findings
from simulator.commands.options import option
from simulator.commands.specs import fill_in_from, spec_of
from simulator.commands.stopping import Terminated, interruptible
from simulator.commands.terminal import (
    announce_compilation,
    emit,
    note,
    progress,
    report,
    typed,
)

if TYPE_CHECKING:
    from simulator.sweeps import Destination, Spec

__all__ = ["sweep"]

_SHOWN = ("status", "outcome", "trainable", "diverged", "loss_final")


@options.several
@click.command(
    cls=options.GroupedCommand,
    common="model param width data optimizer eta-trgt t-wrm steps seeds workers resume output",
    examples=(
        ("warmup sweep", "The eta_trgt that train for each t_wrm, on handwritten digits"),
        (
            "warmup sweep --param sp,mup --width 16,64 --eta-trgt 1:64:7:log --seeds 2",
            "One diagram for each parameterization and width",
        ),
        ("warmup sweep -o sweep.zarr --resume", "Continue an interrupted sweep"),
    ),
)
@options.model_options
@options.data_options
@options.optimizer_options
@options.schedule_options("sweep", grid=True)
@options.curvature_options(every=16, tol=1e-3)
@options.seeds_option(3)
@options.workers_option
@options.dtype_option(varies=True)
@option("execution", "--scheduler", metavar="ADDRESS", default_text="none, threads of this process", help="Dask scheduler whose workers train the runs, such as tcp://host:8786.")  # fmt: skip
@option("execution", "--shard", metavar="I/N", default_text="1/1", help="Run part I of N of the sweep into the store named by -o; other processes run the other parts, at any time.")  # fmt: skip
@option("execution", "--resume", is_flag=True, help="Continue the store named by -o, or start it. Options that are not given come from the store.")  # fmt: skip
@option("execution", "--grow", is_flag=True, help="Extend the store named by -o to this larger grid, and run the new cells only.")  # fmt: skip
@options.overwrite_option
@option("execution", "--large", is_flag=True, help="Allow a sweep that takes days or 50 GB.")  # fmt: skip
@option("output", "-o", "--output", type=click.Path(path_type=Path), metavar="STORE.zarr", default_text="sweep.zarr, or the next free name", help="Store for the results, written during the sweep.")  # fmt: skip
@option("output", "--curves/--no-curves", default=False, help="Store the curves of every run.")
@options.output_options("beside the store")
def sweep(**given: Any) -> None:
    """Train on a grid of settings and draw the phase diagram.

    Most options of the model, optimizer, schedule and curvature take several values, such as
    --param sp,mup. Each such option is an axis of the grid.

    The default is SP networks on handwritten digits. With the longest warmup, their largest
    trainable eta_trgt is many times larger than without warmup.
    """
    from simulator import figures
    from simulator.figures.about import about_cell
    from simulator.sweeps import StoreMovedError, check, execute, first_seeds, is_taken, load

    where = _where(given)
    store = where.path
    assert store is not None
    if given["resume"] and is_taken(store):
        fill_in_from(store, given)
    spec = spec_of(given, seeds=first_seeds(given["seeds"]), curves=given["curves"])
    data = options.data_of()
    check(spec, data, where, given["workers"], large=given["large"])
    drawing = Drawing.of(given, store.with_suffix(".png"))
    if drawing.path.absolute() == store.absolute():
        raise InputError("output", store, "is also the name of the figure; end it in .zarr")
    before = [_about_store(store)] if given["grow"] and is_taken(store) else []
    drawing = drawing.showing(about_cell(spec, data), *before)

    announce_compilation()
    if given["scheduler"] is not None:
        _silence_dask()
    began, seconds = time.monotonic(), dict[str, float]()
    try:
        with interruptible(), progress(_runs(spec, where)) as on_progress:
            dataset = execute(
                spec, data, where, workers=given["workers"], scheduler=given["scheduler"],
                large=given["large"], command=typed(), progress=on_progress, seconds=seconds,
            )  # fmt: skip
        # A large sweep is not read back whole, only what is drawn and counted of it.
        dataset = load(dataset[list(_SHOWN)], store, "output")
        left = int((dataset["status"] == "not_run").sum())
        if left and not where.is_shared:
            # All of it was run: what is not there any more reads so too.
            raise StoreMovedError(store)
    except KeyboardInterrupt as stopped:
        _report_how_to_resume("Interrupted", store)
        raise click.exceptions.Exit(143 if isinstance(stopped, Terminated) else 130) from None
    except OSError as error:
        moved = isinstance(error, StoreMovedError)
        _report_how_to_resume(f"warmup: {error.strerror or error}", store, moved=moved)
        raise click.exceptions.Exit(1) from None
    seconds["total"] = time.monotonic() - began
    if left:
        _report_share(given, store, spec.cells, left)
        return
    places = _undrawn(spec)
    figure = drawing.save(figures.phase_diagram(dataset.isel(places), style=drawing.style))

    rows = boundaries(dataset)
    if given["as_json"]:
        emit(document(spec, dataset, rows, store, figure, seconds))
    else:
        report_findings(spec, dataset, rows, store, figure, seconds)
    if places:
        shown = ", ".join(f"{name} {spec.coordinates()[name][0]}" for name in places)
        note(f"The diagram is of {shown}; warmup plot --where draws the others.")
    if (dataset["status"] == "failed").any():
        report("Some runs failed; see above. --resume tries them again.")
        raise click.exceptions.Exit(1)


def _about_store(store: Path) -> dict[str, str]:
    """What a figure of the store shows before that grows."""
    from simulator.figures.about import about_experiment
    from simulator.sweeps import recorded

    spec, description = recorded(store, "output")
    return about_experiment(spec, description, spec.seeds)


def _undrawn(spec: Spec) -> dict[str, list[int]]:
    """Axes for which there are no more rows and columns: the first value is drawn."""
    from simulator.figures.of_a_sweep import MOST_PANELS

    places, drawn, room = dict[str, list[int]](), 0, MOST_PANELS
    for axis in spec.over:
        count = len(axis.values)
        if drawn < 2 and count <= room:
            drawn, room = drawn + (count > 1), room // count
        else:
            places[axis.name] = [0]
    return places


def _silence_dask() -> None:
    """A lost connection is reported in one sentence, not by Dask's tracebacks."""
    with suppress(ImportError):
        import distributed

        # A signal may also meet a callback of Dask's event loop, which is tornado's.
        for name in (distributed.__name__, distributed.client.__name__, "tornado.application"):
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)


def _where(given: dict[str, Any]) -> Destination:
    from simulator.sweeps import Destination

    named = given["output"] is not None
    for name in ("resume", "grow", "shard"):
        if given[name] and not named:
            raise InputError(name, "without --output", "name the store with -o")
    share = (1, 1)
    if given["shard"] is not None:
        parts = given["shard"].split("/")
        if len(parts) != 2 or not all(part.isascii() and part.isdigit() for part in parts):
            raise InputError("shard", given["shard"], "give I/N, as in 3/8")
        share = int(parts[0]), int(parts[1])
    return Destination(
        given["output"] or _free_name(), given["resume"], given["overwrite"], given["grow"], share
    )


def _runs(spec: Spec, where: Destination) -> int:
    """About how many this process has to do."""
    return math.ceil(spec.cells / where.share[1])


def _report_share(given: dict[str, Any], store: Path, cells: int, left: int) -> None:
    """The report of a shard, as long as others have runs left."""
    shard = given["shard"]
    if given["as_json"]:
        document = {"command": "sweep", "store": str(store), "shard": shard}
        emit({**document, "runs": cells, "left": left})
    else:
        click.echo(f"Shard {shard} is done; {left} of {cells} runs are left to the others.")
        click.echo(f"Results  {printable(store)}")


def _free_name() -> Path:
    """sweep.zarr, or sweep-2.zarr and so on: a sweep without a name replaces nothing."""
    from simulator.sweeps import is_taken

    names = itertools.chain(["sweep.zarr"], (f"sweep-{n}.zarr" for n in itertools.count(2)))
    return next(path for path in map(Path, names) if not is_taken(path))


def _report_how_to_resume(reason: str, store: Path, *, moved: bool = False) -> None:
    """Why a sweep stopped, where its results are, and the line that continues it."""
    if moved:
        first = f" Remove what is at {store} now." if store.exists() else ""
        report(f"{reason}; the finished runs moved with it.{first} Move it back, or start again:")
    elif store.exists():
        report(f"{reason}; finished runs are in {store}. Resume with:")
    else:
        report(f"{reason}; there is no {store}: no run is finished, or it was moved. Start with:")
    report(f"  {_resume_line(store)}")


def _resume_line(store: Path) -> str:
    words = [word for word in shlex.split(typed()) if word not in ("--overwrite", "--resume")]
    named = any(word in ("-o", "--output") or word.startswith("--output=") for word in words)
    # A store that has grown has the larger grid already, or is as it was.
    more = [] if "--grow" in words else ["--resume"]
    return shlex.join([*words, *([] if named else ["-o", str(store)]), *more])
