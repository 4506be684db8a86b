"""``warmup plot``: the phase diagram of a store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from simulator.checks import printable
from simulator.commands import options
from simulator.commands.options import option
from simulator.commands.terminal import emit

__all__ = ["plot"]


@click.command(cls=options.GroupedCommand)
@click.argument("store", type=click.Path(path_type=Path), metavar="STORE.zarr")
@option("output", "--color", default="loss_final", metavar="NAME", help="Variable to colour by: loss_final, test_accuracy_final, sharpness_final ...")  # fmt: skip
@option("schedule", "--eta-init", type=int, default=0, metavar="INDEX", help="Which eta_init, counted from 0.")  # fmt: skip
@options.output_options("beside the store")
def plot(store: Path, color: str, eta_init: int, **given: Any) -> None:
    """Draw the phase diagram of a store: eta_trgt against t_wrm."""
    from simulator import figures
    from simulator.checks import InputError
    from simulator.sweeps import load, open_store

    dataset, spec, _ = open_store(store)
    figure: Path = given["figure"] or store.with_suffix(".png")
    figures.check_format(figure)
    if not 0 <= eta_init < len(spec.eta_init):
        raise InputError("eta_init", eta_init, f"give an index from 0 to {len(spec.eta_init) - 1}")
    dataset = load(dataset.drop_dims("step", errors="ignore"), store)
    figures.save(figures.phase_diagram(dataset, color=color, eta_init=eta_init), figure)
    if given["as_json"]:
        emit({"command": "plot", "store": str(store), "figure": str(figure), "color": color})
    else:
        click.echo(f"Diagram  {printable(figure)}")
