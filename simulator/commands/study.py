"""``warmup study``: the findings as claims, checked and drawn."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from simulator.checks import InputError, at_least
from simulator.commands import options
from simulator.commands.completion import one_of_these
from simulator.commands.drawing import Drawing
from simulator.commands.options import option
from simulator.commands.terminal import announce_compilation, emit, marked, progress, report
from simulator.files import check_target

if TYPE_CHECKING:
    from simulator.studying import Claim, Lab, Study

__all__ = ["study"]


@click.group()
def study() -> None:
    """List and run the reproductions: each finding a claim with its number and its seeds."""


@study.command("list", cls=options.GroupedCommand)
@option("output", "--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@options.terminal_options
def list_studies(as_json: bool) -> None:
    """Name every study, with its finding."""
    from simulator.studying import find_studies, load_study

    studies = [load_study(name) for name in find_studies()]
    if as_json:
        emit({"studies": [{"name": s.name, "title": s.title, "text": s.text} for s in studies]})
        return
    width = max(len(s.name) for s in studies)
    for one in studies:
        click.echo(f"{one.name:{width}}  {one.title}")


def _offer(ctx: click.Context, param: click.Parameter, typed: str) -> list[CompletionItem]:
    from simulator.studying import find_studies

    return one_of_these(["all", *find_studies()])(ctx, param, typed)


@study.command("run", cls=options.GroupedCommand)
@click.argument("names", nargs=-1, required=True, metavar="NAME...|all", shell_complete=_offer)
@option("seeds", "--seeds", type=int, default=5, help="Seeds of each measurement.")
@option("seeds", "--quick", is_flag=True, help="Coarser grids: seconds instead of minutes.")
@option("seeds", "--first-seed", type=int, default=0, help="The first of them.")
@option("data", "--data", default="digits", metavar="digits|mnist1d|teacher|FILE", help="Another dataset.")  # fmt: skip
@option("data", "--data-seed", type=int, default=0, help="Other samples of it, or another teacher.")
@option("execution", "--workers", type=int, default_text="every core", help="Threads, one run on each.")  # fmt: skip
@option("execution", "--fresh", is_flag=True, help="Measure again what was kept.")
@option("output", "-o", "--output", type=click.Path(path_type=Path), default="studies-found", help="Folder of figures, and of what was measured.")  # fmt: skip
@option("output", "--figures", type=click.Path(path_type=Path), default_text="the output folder", help="Folder of figures.")  # fmt: skip
@option("output", "--page", type=click.Path(path_type=Path), metavar="FILE.md", multiple=True, help="Write the claims there too; may be given again.")  # fmt: skip
@options.overwrite_option
@options.style_options
@option("output", "--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@options.terminal_options
def run_studies(**given: Any) -> None:
    """Measure, judge and draw. Exit code 1 if a claim fails.

    What was measured is kept: the second time it is only judged and drawn.
    """
    from simulator.studying import Lab, find_studies, load_study
    from simulator.studying.pages import write_page

    names = list(given["names"])
    chosen = [load_study(name) for name in (find_studies() if names == ["all"] else names)]
    at_least("seeds", given["seeds"], 1)
    at_least("first_seed", given["first_seed"], 0)
    if given["workers"] is not None:
        at_least("workers", given["workers"], 1)
    output: Path = given["output"]
    for name in ("output", "figures"):
        if given[name] is not None and given[name].exists() and not given[name].is_dir():
            raise InputError(name, given[name], "is a file; name a folder")
    for page in given["page"]:
        check_target("page", page)
    lab = Lab(
        given["seeds"], given["quick"], given["data"], given["data_seed"], output / "stores",
        given["workers"], given["first_seed"],
    )  # fmt: skip
    lab.data(2)  # refuses data that cannot be
    drawings = {one.name: _drawing_of(one, lab, given) for one in chosen}
    if given["fresh"]:
        shutil.rmtree(output / "stores", ignore_errors=True)
    announce_compilation()
    results = []
    with progress(len(chosen), "studies") as on_progress:
        for one in chosen:
            try:
                results.append(_run(one, lab, drawings[one.name]))
            except InputError as error:
                # A study of classes, say, and data without: the others go on.
                if len(chosen) == 1:
                    raise
                report(f"{one.name} cannot use this data: {error}.")
            on_progress(1)
    for page in given["page"]:
        write_page(page, results, lab)
    if given["as_json"]:
        emit(_document(results, lab))
    else:
        _report(results)
    if not all(claim.holds for _, claims, _, _ in results for claim in claims):
        raise click.exceptions.Exit(1)


Result = tuple["Study", "list[Claim]", float, Path]


def _drawing_of(one: Study, lab: Lab, given: dict[str, Any]) -> Drawing:
    from simulator.sweeps import text_of

    folder: Path = given["figures"] or given["output"]
    folder.mkdir(parents=True, exist_ok=True)
    drawing = Drawing.of(given, folder / f"{one.name}.png")
    quick = {"quick": "yes"} if lab.quick else {}
    data = {"data": f"name {lab.dataset}, data_seed {lab.slice}"}
    return drawing.showing({"study": one.name, **data, **quick, "seed": text_of(tuple(lab.seeds))})


def _run(one: Study, lab: Lab, drawing: Drawing) -> Result:
    from simulator.figures import describe, in_style

    began = time.monotonic()
    found = one.found(lab)
    claims = one.claims(found)
    with in_style(drawing.style):
        axes = one.draw(found)
        describe(axes, drawing.about)
        figure = drawing.save(axes)
    # What it took when it was measured, not when it was read again.
    seconds = float(found.attrs.get("seconds", time.monotonic() - began))
    return one, claims, seconds, figure


def _report(results: list[Result]) -> None:
    head = ("claim", "expected", "measured [min median max]", "")
    for one, claims, seconds, figure in results:
        click.echo(f"\n{one.title}\n({one.name}; {seconds:.0f} s; {figure})")
        rows = [
            (c.sentence, c.expected, "[{:.3g} {:.3g} {:.3g}]".format(*c.spread),
             "holds" if c.holds else "FAILS")
            for c in claims
        ]  # fmt: skip
        widths = [max(len(row[i]) for row in (head, *rows)) for i in range(4)]
        for row in (head, *rows):
            cells = (cell.ljust(width) for cell, width in zip(row[:-1], widths, strict=False))
            click.echo(f"  {'  '.join([*cells, marked(row[-1])]).rstrip()}")
    claims = [claim for _, claims, _, _ in results for claim in claims]
    holding = sum(claim.holds for claim in claims)
    click.echo(f"\n{holding} of {len(claims)} claims hold.")


def _document(results: list[Result], lab: Lab) -> dict[str, Any]:
    return {
        "command": "study",
        "seeds": lab.count,
        "first_seed": lab.first,
        "quick": lab.quick,
        "data": lab.dataset,
        "data_seed": lab.slice,
        "studies": [
            {
                "name": one.name, "title": one.title, "seconds": seconds, "figure": str(figure),
                "claims": [claim.as_dict() for claim in claims],
            }
            for one, claims, seconds, figure in results
        ],
    }  # fmt: skip
