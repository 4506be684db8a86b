"""``warmup plot``: the phase diagrams of a store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from simulator.checks import printable
from simulator.commands import options
from simulator.commands.drawing import Drawing
from simulator.commands.options import option
from simulator.commands.replay import coordinates
from simulator.commands.terminal import emit

__all__ = ["plot"]


@click.command(
    cls=options.GroupedCommand,
    common="color x y rows columns where figure",
    examples=(
        ("warmup plot sweep.zarr", "The phase diagram, coloured by the final loss"),
        ("warmup plot sweep.zarr --color sharpness_final", "Coloured by the final sharpness"),
        ("warmup plot sweep.zarr --x t_wrm --y eta_trgt --figure a.pdf", "Other axes, as a PDF"),
    ),
)
@options.store_argument
@options.color_option
@option("output", "--x", default="eta_trgt", metavar="DIMENSION", help="Dimension of the horizontal axis.")  # fmt: skip
@option("output", "--y", default="t_wrm", metavar="DIMENSION", help="Dimension of the vertical axis.")  # fmt: skip
@option("output", "--rows", metavar="DIMENSION", default_text="any other dimension that varies", help="Dimension with a row of diagrams for each value.")  # fmt: skip
@option("output", "--columns", metavar="DIMENSION", default_text="any other dimension that varies", help="Dimension with a column of diagrams for each value.")  # fmt: skip
@options.where_option
@option("schedule", "--eta-init", type=int, default=0, metavar="INDEX", help="Index of the eta_init to draw, from 0.")  # fmt: skip
@options.overwrite_figure_option
@options.output_options("beside the store")
def plot(store: Path, color: str, eta_init: int, where: str | None, **given: Any) -> None:
    """Draw the phase diagram of a store.

    The axes are eta_trgt and t_wrm, or any two dimensions. Where more options vary, there is one
    diagram for each of their values.
    """
    from simulator import figures
    from simulator.checks import InputError
    from simulator.figures.about import about_experiment
    from simulator.sweeps import load, open_store

    dataset, spec, description = open_store(store)
    drawing = Drawing.of(given, store.with_suffix(".png"))
    if not 0 <= eta_init < len(spec.eta_init):
        raise InputError("eta_init", eta_init, f"give an index from 0 to {len(spec.eta_init) - 1}")
    drawing = drawing.showing(about_experiment(spec, description, spec.seeds))
    places = spec.places(coordinates("where", where), "where")
    dimensions: dict[str, Any] = {
        name: options.argument(given[name]) for name in ("x", "y", "rows", "columns") if given[name]
    }
    dataset = dataset.isel({name: [place] for name, place in places.items()})
    dataset = load(dataset.drop_dims("step", errors="ignore"), store)
    at = 0 if "eta_init" in places else eta_init
    axes = figures.phase_diagram(
        dataset, color=color, eta_init=at, style=drawing.style, **dimensions
    )
    figure = drawing.save(axes)
    if given["as_json"]:
        emit({"command": "plot", "store": str(store), "figure": str(figure), "color": color})
    else:
        click.echo(f"Diagram  {printable(figure)}")
