"""``warmup theory``: every closed form beside a measurement of it, and one law with its picture."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from simulator.checks import InputError, one_of
from simulator.commands import options
from simulator.commands.completion import one_of_these
from simulator.commands.drawing import Drawing
from simulator.commands.options import option
from simulator.commands.terminal import announce_compilation, emit, marked, progress

if TYPE_CHECKING:
    from simulator.laws import Finding, Law

__all__ = ["theory"]


def _offer(ctx: click.Context, param: click.Parameter, typed: str) -> list[CompletionItem]:
    from simulator.laws import LAWS

    return one_of_these(LAWS)(ctx, param, typed)


@click.command(
    cls=options.GroupedCommand,
    common="law seed figure json",
    examples=(
        ("warmup theory", "Check every law; takes about a minute"),
        ("warmup theory --law period-doubling", "Check and draw one law, with its source"),
        ("warmup theory --law warmup-decay --seed 1", "Check a law on other random instances"),
    ),
)
@option("law", "--law", metavar="NAME", shell_complete=_offer, default_text="all of them", help="Check one law, and print its statement and source.")  # fmt: skip
@option("seeds", "--seed", type=int, default=0, help="Seed of the random instances.")
@options.overwrite_figure_option
@options.output_options("NAME.png, for a law that has a picture")
def theory(**given: Any) -> None:
    """Check closed-form predictions against measurements.

    Each law is compared with measurements on random instances. The numbers shown are those of the
    worst instance. The exit code is 1 if a law fails.
    """
    from simulator.laws import LAWS
    from simulator.seeding import generator

    chosen = [LAWS[one_of("law", given["law"], LAWS)]] if given["law"] else list(LAWS.values())
    generator(given["seed"], "init")  # refuses a seed that cannot be
    drawing = _drawing_of(chosen, given)

    announce_compilation()
    began = time.monotonic()
    found = []
    with progress(len(chosen), "laws") as on_progress:
        for law in chosen:
            found.append(law.check(given["seed"]))
            on_progress(1)
    seconds = time.monotonic() - began
    figure = None if drawing is None else _draw(chosen[0], given["seed"], drawing)

    if given["as_json"]:
        emit(_document(found, given["seed"], figure, seconds))
    elif given["law"]:
        _report_one(found[0], figure)
    else:
        _report_all(found, seconds)
    if not all(finding.holds for finding in found):
        raise click.exceptions.Exit(1)


def _drawing_of(chosen: list[Law], given: dict[str, Any]) -> Drawing | None:
    """Where to draw, if there is something to draw."""
    wanted: Path | None = given["figure"]
    pictured = len(chosen) == 1 and chosen[0].picture is not None
    if wanted is not None and len(chosen) > 1:
        raise InputError("figure", wanted, "shows one law; name it with --law")
    if wanted is not None and not pictured:
        raise InputError("figure", wanted, f"{chosen[0].name} has no picture; leave it out")
    if not pictured:
        return None
    drawing = Drawing.of(given, Path(f"{chosen[0].name}.png"))
    return drawing.showing({"law": chosen[0].name, "seed": str(given["seed"])})


def _draw(law: Law, seed: int, drawing: Drawing) -> Path:
    from simulator.figures.canvas import describe, new_axes
    from simulator.figures.style import in_style

    assert law.picture is not None
    with in_style(drawing.style):
        axes = new_axes()
        law.picture(axes, law.generator(seed))
        describe(axes, drawing.about)
        return drawing.save(axes)


def _document(
    found: list[Finding], seed: int, figure: Path | None, seconds: float
) -> dict[str, Any]:
    def plain(finding: Finding) -> dict[str, Any]:
        law = finding.law
        described = {"name": law.name, "topic": law.topic, "statement": law.statement}
        numbers = {k: v for k, v in vars(finding).items() if k != "law"}
        return described | {"tolerance": law.tolerance} | numbers

    return {
        "command": "theory",
        "seed": seed,
        "laws": [plain(finding) for finding in found],
        "holding": sum(finding.holds for finding in found),
        "failing": [finding.law.name for finding in found if not finding.holds],
        "figure": figure and str(figure),
        "seconds": seconds,
    }


_ROW = "  {:34} {:>12} {:>2} {:>12}  {:>8} {:>8}  {}"


def _report_all(found: list[Finding], seconds: float) -> None:
    click.echo(_ROW.format("law", "measured", "", "predicted", "off by", "allowed", "").rstrip())
    topic = ""
    for finding in found:
        if finding.law.topic != topic:
            topic = finding.law.topic
            click.echo(f"\n{topic}")
        click.echo(_ROW.format(finding.law.name, *_cells(finding)))
    failing = [finding.law.name for finding in found if not finding.holds]
    instances = sum(finding.instances for finding in found)
    click.echo(
        f"\n{len(found) - len(failing)} laws hold on {instances} instances; {seconds:.0f} s."
    )
    if failing:
        click.echo(f"{len(failing)} fail: {', '.join(failing)}.")
    click.echo(
        "warmup theory --law NAME says what one means, and draws it where there is a picture."
    )


def _cells(finding: Finding) -> tuple[str, ...]:
    """Measured, relation, predicted, difference, tolerance, verdict."""
    verdict = marked("holds" if finding.holds else "FAILS")
    allowed = f"{finding.law.tolerance:.0e}" if finding.law.tolerance else "0"
    off = f"{finding.difference:.1e}" if finding.difference else "0"
    if finding.relation == "iff":
        agree = f"{finding.instances} agree"
        return str(finding.agreeing), "of", agree, off, allowed, verdict
    return (
        f"{finding.measured:.6g}", finding.relation, f"{finding.predicted:.6g}", off, allowed,
        verdict,
    )  # fmt: skip


def _report_one(finding: Finding, figure: Path | None) -> None:
    law = finding.law
    click.echo(f"{law.name} ({law.topic})\n\n{law.statement}\n")
    if law.source:
        click.echo(f"{law.source}\n")
    measured, relation, predicted, off, allowed, verdict = _cells(finding)
    click.echo(f"Measured    {measured} {relation} {predicted}")
    click.echo(f"Off by      {off}, where {allowed} is allowed")
    click.echo(f"Instances   {finding.instances}, {finding.seconds:.1f} s; the worst is shown")
    click.echo(f"Verdict     {verdict}")
    if figure is not None:
        click.echo(f"Figure      {figure}")
