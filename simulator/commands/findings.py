"""What a sweep found: which eta_trgt train after which t_wrm, as tables and sentences."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from simulator.checks import printable
from simulator.commands.terminal import shares

if TYPE_CHECKING:
    import xarray as xr

    from simulator.sweeps import Spec

__all__ = ["boundaries", "document", "report_findings"]


def boundaries(dataset: xr.Dataset) -> list[dict[Any, Any]]:
    """The largest trainable eta_trgt for each t_wrm and all else: median and range over seeds."""
    from simulator.sweeps.boundary import boundary, median

    edges = boundary(dataset)
    top = float(dataset["eta_trgt"][-1])
    names = [name for name in edges.dims if name != "seed"]
    rows = []
    for values in itertools.product(*(dataset[name].values.tolist() for name in names)):
        at = dict(zip(names, values, strict=True))
        found = edges.sel(at)
        middle = float(median(found))
        rows.append({
            **at, "eta_trgt_max": middle, "smallest": float(found.min()),
            "largest": float(found.max()), "at_grid_end": middle == top,
        })  # fmt: skip
    return rows


def document(
    spec: Spec,
    dataset: xr.Dataset,
    rows: list[dict[str, Any]],
    store: Path,
    figure: Path,
    seconds: dict[str, float],
) -> dict[str, Any]:
    """What ``--json`` gives."""
    outcomes = dataset["outcome"].values.ravel().tolist()
    return {
        "command": "sweep",
        "store": str(store),
        "figure": str(figure),
        "spec": spec.as_dict(),
        "runs": spec.cells,
        "seconds": seconds,
        "outcomes": {name: outcomes.count(name) for name in sorted(set(outcomes))},
        "boundary": rows,
        "shortest_t_wrm": _shortest_of_each(spec, rows),
    }


def _shortest_of_each(spec: Spec, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """For each eta_trgt, and all else, the shortest t_wrm that trains; None where none does."""
    names = [name for name in spec.axes if name not in ("seed", "eta_trgt", "t_wrm")]
    found = []
    for at, group in itertools.groupby(rows, key=lambda row: [row[name] for name in names]):
        steps = shortest(list(group))
        for eta_trgt in spec.eta_trgt:
            t_wrm = next((t for most, t in steps if eta_trgt <= most), None)
            found.append(
                {**dict(zip(names, at, strict=True)), "eta_trgt": eta_trgt, "t_wrm": t_wrm}
            )
    return found


def report_findings(
    spec: Spec,
    dataset: xr.Dataset,
    rows: list[dict[str, Any]],
    store: Path,
    figure: Path,
    seconds: dict[str, float],
) -> None:
    """A table of the boundary for each combination, with a sentence, and what the sweep took."""
    unit = ", in units of eta_critical" if spec.eta_unit == "critical" else ""
    seeds = len(spec.seeds)
    spread = f", median and range of {seeds} seeds" if seeds > 1 else ""
    click.echo(f"{spec.cells} runs in {seconds['total']:.1f} s. Of all threads: {shares(seconds)}.")
    shown = [axis.name for axis in spec.over] + ["eta_init"] * (len(spec.eta_init) > 1)
    for at, group in itertools.groupby(rows, key=lambda row: [row[name] for name in shown]):
        click.echo(f"\nLargest trainable eta_trgt{_with(shown, at)}{unit}{spread}:\n")
        click.echo("    t_wrm   eta_trgt")
        lines = list(group)
        for row in lines:
            end = "  or more: the grid ends here" if row["at_grid_end"] else ""
            value = _number(row["eta_trgt_max"])
            span = f"   [{_number(row['smallest'])} to {_number(row['largest'])}]" * (seeds > 1)
            click.echo(f"  {row['t_wrm']:7d}   {value:>8}{span}{end}")
        click.echo(f"\n{_sentence(lines)}")
        steps = shortest(lines)
        if len(steps) > 1:
            click.echo("\nShortest t_wrm of the grid that trains, by eta_trgt:\n")
            for eta_trgt, t_wrm in steps:
                click.echo(f"  up to {_number(eta_trgt):>8}   {t_wrm:7d}")
            if not any(row["at_grid_end"] for row in lines):
                click.echo("  beyond              none")
    click.echo(f"\nResults  {printable(store)}\nDiagram  {printable(figure)}")


def _with(names: list[str], values: list[Any]) -> str:
    """The options that a table is for."""
    from simulator.sweeps import text_of

    texts = [f"{name} {text_of(value)}" for name, value in zip(names, values, strict=True)]
    return f" with {', '.join(texts)}" if texts else ""


def _number(value: float) -> str:
    if value != value:
        return "not run"
    return f"{value:.3g}" if value else "none"


def _sentence(rows: list[dict[str, Any]]) -> str:
    """What warmup did, as far as the grid shows it."""
    first, last = rows[0], rows[-1]
    before, after = first["eta_trgt_max"], last["eta_trgt_max"]
    if len(rows) < 2:
        return "One t_wrm only: give several to see what warmup does."
    if before != before or after != after:
        return "Some runs are missing: the boundary is not known."
    if not (before and after):
        *others, final = (str(row["t_wrm"]) for row in rows if row["eta_trgt_max"] == 0)
        fails = f"{', '.join(others)} and {final}" if others else final
        return (
            f"The smallest eta_trgt does not train at t_wrm {fails}. Give smaller ones, or more "
            "steps if the loss falls too slowly."
        )
    spans = f"t_wrm {first['t_wrm']} to {last['t_wrm']}"
    beyond = [row["at_grid_end"] for row in (first, last)]
    if all(beyond):
        return f"From {spans} the boundary is not on this grid: give larger eta_trgt."
    if after > before:
        least = "at least " * beyond[1]
        return f"From {spans} the boundary moves right by {least}a factor {after / before:.3g}."
    if after < before:
        least = "at least " * beyond[0]
        return f"From {spans} the boundary moves left by {least}a factor {before / after:.3g}."
    most = max(rows, key=lambda row: row["eta_trgt_max"])
    if most["eta_trgt_max"] > after:
        return (
            f"The boundary at t_wrm {last['t_wrm']} is that at {first['t_wrm']}; at {most['t_wrm']} "
            f"it is farther right."
        )
    return f"From {spans} the boundary stays within one step of the grid."


def shortest(rows: list[dict[str, Any]]) -> list[tuple[float, int]]:
    """Largest eta_trgt that each t_wrm trains, of those t_wrm that train a larger one than shorter."""
    found: list[tuple[float, int]] = []
    for row in rows:
        if row["eta_trgt_max"] > (found[-1][0] if found else 0.0):
            found.append((row["eta_trgt_max"], row["t_wrm"]))
    return found
