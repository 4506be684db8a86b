"""``warmup report``: a store as one page that needs no network."""

from __future__ import annotations

import shlex
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from simulator.checks import InputError, printable
from simulator.commands import options
from simulator.commands.options import option
from simulator.commands.remake import command_line
from simulator.commands.replay import coordinates, data_again
from simulator.commands.stopping import interruptible
from simulator.commands.terminal import announce_compilation, emit, progress
from simulator.files import check_target, write_whole

if TYPE_CHECKING:
    import xarray as xr

    from simulator.data import Data
    from simulator.sweeps import Spec

__all__ = ["report"]


@click.command(
    cls=options.GroupedCommand,
    common="output color where curves",
    examples=(
        ("warmup report sweep.zarr", "A page with the curves of every run"),
        ("warmup report sweep.zarr --no-curves", "A small page: the diagram and its numbers"),
        (
            "warmup report sweep.zarr --color sharpness_final -o sharpness.html",
            "Coloured by the final sharpness",
        ),
    ),
)
@options.store_argument
@options.data_option(None, "as in the store")
@option("output", "-o", "--output", type=click.Path(path_type=Path), metavar="FILE.html", default_text="beside the store", help="File of the page.")  # fmt: skip
@options.color_option
@options.where_option
@option("output", "--curves/--no-curves", default=True, help="Show curves and events of every run; without stored curves, the runs are repeated.")  # fmt: skip
@options.report_options
def report(store: Path, data: str | None, output: Path | None, **given: Any) -> None:
    """Write a store as one HTML page that works offline.

    The page shows the phase diagram; a click on a cell shows its run. If the store has no curves,
    its runs are repeated bit for bit, provided that this takes at most ten minutes.
    """
    from simulator.sweeps import load, open_store, selected, text_of

    _needs_bokeh()
    from simulator.reporting import MOST_RUNS, chunks_with_curves, page, refuse_slow

    dataset, spec, description = open_store(store)
    where = coordinates("where", given["where"])
    dataset, spec = selected(dataset, spec, where)
    named = [f"{name} {text_of(value)}" for name, value in where.items()]
    target = output or store.with_suffix(".html")
    _check_target(target)
    if spec.cells > MOST_RUNS:
        remedy = f"has {spec.cells} runs, and a page holds {MOST_RUNS}; sweep a smaller grid"
        raise InputError("store", store, remedy)
    _check_known(spec, store, curves=given["curves"])
    command = _remade(spec, description, store)
    samples = _data(store, data, description, needed=given["curves"])
    whole = dataset
    dataset = load(dataset.drop_dims("step", errors="ignore"), store)
    _check_color(dataset, given["color"])
    about: dict[str, Any] = {
        "title": ", ".join([f"Warmup: {store.name}", *named]), "command": command, "description": description,
        "color": given["color"], "explain": _explained(spec, store, data),
    }  # fmt: skip
    if not given["curves"]:
        html = page(dataset, spec, samples, None, **about)
    else:
        done = int((dataset["status"] == "done").sum())
        refuse_slow(spec, samples, done)
        announce_compilation()
        with (
            interruptible(),
            progress(done) as on_progress,
            closing(chunks_with_curves(whole, spec, samples, store, on_progress)) as chunks,
        ):
            html = page(dataset, spec, samples, chunks, **about)
    write_whole("output", target, html.encode())
    if given["as_json"]:
        emit(_document(store, target, dataset, spec, len(html.encode())))
    else:
        click.echo(f"Report  {printable(target)}  ({len(html.encode()) / 1e6:.1f} MB)")


def _needs_bokeh() -> None:
    from importlib.util import find_spec

    if find_spec("bokeh") is None:
        raise InputError(
            "report", "without Bokeh", "install it: pip install 'warmup-simulator[report]'"
        )


def _check_target(path: Path) -> None:
    if path.suffix.lower() not in (".html", ".htm"):
        raise InputError("output", path, "a report is HTML; end the name in .html")
    check_target("output", path)


def _check_known(spec: Spec, store: Path, *, curves: bool) -> None:
    """Refuse what only user-defined code could tell."""
    from simulator.sweeps import is_recorded

    def user_defined(kind: str) -> str | None:
        things = (getattr(part, kind) for _, part in spec.parts())
        return next((thing.name for thing in things if is_recorded(thing)), None)

    if name := user_defined("optimizer"):
        raise InputError(
            "store", store,
            f"its optimizer {name} is user-defined, and its stability limit is not known here; use "
            "warmup plot",
        )  # fmt: skip
    if not curves or spec.curves:
        return
    for kind in ("model", "schedule"):
        if name := user_defined(kind):
            raise InputError(
                "curves", "not in the store",
                f"its {kind} {name} is user-defined, and cannot be run again here; give "
                "--no-curves, or sweep with curves=True",
            )  # fmt: skip


def _check_color(dataset: xr.Dataset, color: str) -> None:
    """Before the runs are done again."""
    from simulator.figures.sheet import lay_out

    if lay_out(dataset.isel(seed=[0]), color).words:
        raise InputError("color", color, "the page shows numbers; warmup plot draws words")


def _remade(spec: Spec, description: dict[str, Any], store: Path) -> str:
    try:
        return command_line(spec, description, Path("again.zarr"))
    except InputError as error:
        return f"# {error}"


def _explained(spec: Spec, store: Path, data: str | None) -> str:
    """The command that describes a run as the page does, with CELL for its place."""
    from simulator.sweeps import is_recorded

    if any(is_recorded(thing) for _, part in spec.parts() for thing in (part.model, part.schedule)):
        return ""  # user-defined code is not in the store
    named = ["--data", data] if data else []
    # A schedule that depends on the sharpness keeps its measurements.
    chosen = [] if spec.schedule.needs_sharpness else [f"--sharpness-every={spec.sharpness_every}"]
    return f"{shlex.join(['warmup', 'explain', str(store)])}CELL {shlex.join([*named, *chosen])}"


def _data(
    store: Path, given: str | None, description: dict[str, Any], *, needed: bool
) -> Data | None:
    """What it was trained on; without curves a page can do without."""
    try:
        return data_again(store, "store", given, description)
    except InputError:
        if needed or given is not None:
            raise
        return None


def _document(
    store: Path, target: Path, dataset: xr.Dataset, spec: Spec, size: int
) -> dict[str, Any]:
    status = dataset["status"].values
    return {
        "command": "report",
        "store": str(store),
        "report": str(target),
        "bytes": size,
        "runs": spec.cells,
        "missing": int((status == "not_run").sum()),
        "failed": int((status == "failed").sum()),
    }
