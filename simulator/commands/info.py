"""``warmup info``: what a store holds, and the spec that made it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from simulator.checks import InputError, printable
from simulator.commands import options
from simulator.commands.options import option
from simulator.commands.remake import command_line
from simulator.commands.terminal import emit

if TYPE_CHECKING:
    from simulator.sweeps import Spec

__all__ = ["info"]


@click.command(
    cls=options.GroupedCommand,
    common="command json",
    examples=(
        ("warmup info sweep.zarr", "What the store holds"),
        ("warmup info sweep.zarr --command", "The command that makes it again"),
        ("warmup info sweep.zarr --json", "All of this as JSON, for a program"),
    ),
)
@options.store_argument
@option("output", "--command", "only_command", is_flag=True, help="Print only the command that makes the store again.")  # fmt: skip
@options.json_option
@options.terminal_options
def info(store: Path, only_command: bool, as_json: bool) -> None:
    """Show what a store holds and the spec that made it."""
    from simulator.sweeps import open_store, tally

    dataset, spec, data = open_store(store)
    if only_command:
        click.echo(command_line(spec, data, Path("again.zarr")))
        return
    status = tally(dataset, "status", store)
    document: dict[str, Any] = {
        "command": "info",
        "store": str(store),
        "complete": status.get("done") == spec.cells,
        "dimensions": dict(dataset.sizes),
        "status": status,
        "outcomes": tally(dataset, "outcome", store),
        "spec": spec.as_dict(),
        "data": data,
        "versions": json.loads(dataset.attrs["versions"]),
        "machine": json.loads(dataset.attrs["machine"]),
        "made_with": {"typed": dataset.attrs["command"], "again": _again(spec, data)},
        "variables": {str(k): v.attrs.get("long_name", "") for k, v in dataset.data_vars.items()},
    }
    if as_json:
        emit(document)
        return
    click.echo(f"{printable(store)}: {'complete' if document['complete'] else 'not complete'}")
    for title in ("dimensions", "status", "outcomes"):
        click.echo(f"\n{title.capitalize()}")
        for name, count in document[title].items():
            click.echo(f"  {printable(name):24} {count}")
    for title in ("spec", "data", "versions", "machine", "made_with", "variables"):
        click.echo(f"\n{title.capitalize().replace('_', ' ')}")
        for name, value in document[title].items():
            text = value if isinstance(value, str) else json.dumps(value)
            click.echo(f"  {printable(name):24} {printable(text, 10_000)}")


def _again(spec: Spec, data: dict[str, Any]) -> str:
    """The line that makes it again, or why there is none."""
    try:
        return command_line(spec, data, Path("again.zarr"))
    except InputError as error:
        return f"no line: {error.remedy}"
