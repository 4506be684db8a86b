"""``warmup info``: what a store holds, and the spec that made it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from simulator.commands import options
from simulator.commands.options import option
from simulator.commands.terminal import emit

__all__ = ["info"]


@click.command(cls=options.GroupedCommand)
@click.argument("store", type=click.Path(path_type=Path), metavar="STORE.zarr")
@option("output", "--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def info(store: Path, as_json: bool) -> None:
    """Say what a store holds, and the spec that made it."""
    from simulator.sweeps import open_store

    dataset, spec, data = open_store(store)
    status = dataset["status"].values.ravel().tolist()
    outcomes = [name for name in dataset["outcome"].values.ravel().tolist() if name]
    document: dict[str, Any] = {
        "command": "info",
        "store": str(store),
        "complete": bool(dataset.attrs["complete"]),
        "dimensions": dict(dataset.sizes),
        "status": _counts(status),
        "outcomes": _counts(outcomes),
        "spec": spec.as_dict(),
        "data": data,
        "versions": json.loads(dataset.attrs["versions"]),
        "variables": {str(k): v.attrs.get("long_name", "") for k, v in dataset.data_vars.items()},
    }
    if as_json:
        emit(document)
        return
    click.echo(f"{store}: {'complete' if document['complete'] else 'not complete'}")
    for title in ("dimensions", "status", "outcomes"):
        click.echo(f"\n{title.capitalize()}")
        for name, count in document[title].items():
            click.echo(f"  {name:24} {count}")
    for title in ("spec", "data", "versions", "variables"):
        click.echo(f"\n{title.capitalize()}")
        for name, value in document[title].items():
            text = value if isinstance(value, str) else json.dumps(value)
            click.echo(f"  {name:24} {text}")


def _counts(names: list[str]) -> dict[str, int]:
    return {name: names.count(name) for name in sorted(set(names))}
